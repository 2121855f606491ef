"""Formats by language: one way to write dates and times, with their zone."""
