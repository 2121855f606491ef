"""Providers of payment, stock and e-mail: ``python -m sandbox``.

Imports none of our code and keeps its own ledger.
"""
