"""Fault campaign on real processes under load; see `docs/chaos.md`.

The product does not import this.
"""
