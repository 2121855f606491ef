"""Providers of payment, stock and e-mail: ``python -m sandbox``. It imports none of our code and keeps its own ledger."""
