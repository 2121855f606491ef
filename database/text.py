"""Texts compared in one Unicode normal form: é is one code point on one keyboard, and two on another."""

import unicodedata

from django.db.models import CharField, Transform


@CharField.register_lookup
class Composed(Transform):
    """`field__composed`: the text in normal form C, as `composed` returns it for what is compared with it."""

    lookup_name = "composed"
    template = "normalize(%(expressions)s, NFC)"


def composed(text: str) -> str:
    """Return a text in normal form C."""
    return unicodedata.normalize("NFC", text)


def spellings(text: str) -> list[str]:
    """Return how a text may have been stored: as it is, composed, decomposed. For exact matches by an index."""
    return list({text, composed(text), unicodedata.normalize("NFD", text)})
