"""The campaign of faults: the whole system as real processes, under load, broken on purpose, row by row.

`python -m chaos --help`; what each row does stands in `docs/chaos.md`. Nothing of the product imports this.
"""
