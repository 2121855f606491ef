"""Metrics that all processes share, and traces."""
