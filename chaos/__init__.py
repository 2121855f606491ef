"""Fault campaign: the whole system as real processes under load, with faults injected row by row.

`python -m chaos --help`; `docs/chaos.md` describes the rows. The product does not import this.
"""
