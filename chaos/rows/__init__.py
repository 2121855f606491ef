"""Rows of the fault matrix, by what they hit. Importing it registers them in `chaos.arena.ROWS`."""

from chaos.rows import attacks, broker, database, live, messages, mixed, providers, web, workers

__all__ = ["attacks", "broker", "database", "live", "messages", "mixed", "providers", "web", "workers"]
