"""Rows of the fault matrix; the import registers them."""

from chaos.rows import attacks, broker, database, live, messages, mixed, money, providers, web, workers

__all__ = [
    "attacks",
    "broker",
    "database",
    "live",
    "messages",
    "mixed",
    "money",
    "providers",
    "web",
    "workers",
]
