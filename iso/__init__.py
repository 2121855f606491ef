"""Codes of currencies and countries, as ISO lists them."""
