"""Clients of the API, for other systems."""
