"""Fields of the desk's forms."""

from typing import Any

from django import forms

from api.prices import LARGEST_PRICE
from api.problems import Problem
from api.validators import check_text


class AmountField(forms.DecimalField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=LARGEST_PRICE, **kwargs)
        self.widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})


class TextField(forms.CharField):
    """A text; refuses what the API refuses."""

    def clean(self, value: Any) -> str:
        """Return the text. Raises ValidationError."""
        text: str = super().clean(value)
        try:
            check_text(text, field="")
        except Problem as problem:
            raise forms.ValidationError(problem.message) from None
        return text
