"""Texts compared in one Unicode normal form: keyboards differ in how they encode é."""

import unicodedata

from django.db.models import CharField, Transform


@CharField.register_lookup
class Composed(Transform):
    """`field__composed`: the text in normal form C."""

    lookup_name = "composed"
    template = "normalize(%(expressions)s, NFC)"


def composed(text: str) -> str:
    """Return a text in normal form C."""
    return unicodedata.normalize("NFC", text)


def spellings(text: str) -> list[str]:
    """Return the forms in which a text may be stored, for exact matches by an index."""
    return list({text, composed(text), unicodedata.normalize("NFD", text)})
