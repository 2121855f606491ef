"""Placing orders: pricing, and storing one or many."""
