"""Limits on the held and unpaid orders of an account."""
