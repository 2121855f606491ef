"""Providers of payment, stock and e-mail in one small process. ``python -m sandbox``; ``GET /`` lists the endpoints.

It imports none of our code and keeps its own ledger, as independent evidence.
"""
