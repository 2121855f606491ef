"""Shipping zones and rates in the admin."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin

from iso.countries import COUNTRIES
from iso.currencies import rounded
from shipping.models import Rate, Zone, ZoneCountry


class CountryForm(forms.ModelForm):
    """A country of a zone, its key: added or removed, never renamed."""

    class Meta:
        model = ZoneCountry
        fields = ["country"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].disabled = not self.instance._state.adding

    def clean_country(self) -> str:
        """Return the code in upper case, as in orders."""
        country = str(self.cleaned_data["country"]).upper()
        if country not in COUNTRIES:
            raise forms.ValidationError("No ISO 3166 code, such as DE or GB.")
        return country


class CountryInline(admin.TabularInline):
    model = ZoneCountry
    form = CountryForm
    extra = 1


class RateForm(forms.ModelForm):
    """A rate, shown with the decimals of its currency."""

    class Meta:
        model = Rate
        fields = ["max_weight_grams", "price", "currency", "free_from"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in ("price", "free_from"):
            if self.initial.get(field) is not None:
                self.initial[field] = rounded(self.initial[field], self.instance.currency)


class RateInline(admin.TabularInline):
    model = Rate
    form = RateForm
    extra = 1


@admin.register(Zone)
class ZoneAdmin(admin.ModelAdmin):
    list_display = ["name", "delivers_to"]
    search_fields = ["name", "=countries__country"]
    inlines: ClassVar = [RateInline, CountryInline]

    @admin.display(description="countries")
    def delivers_to(self, zone: Zone) -> str:
        return ", ".join(country.country for country in zone.countries.all())
