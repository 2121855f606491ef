"""Periodic work, once per time slot."""
