"""Shipping zones and rates."""
