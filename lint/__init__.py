"""Checks of our own for `make lint`."""
