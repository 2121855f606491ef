"""Scheduled work, once per time slot."""
