"""The rows of the fault matrix, by what they hit. Importing this enters all of them into `chaos.arena.ROWS`."""

from chaos.rows import attacks, broker, database, live, messages, mixed, providers, web, workers

__all__ = ["attacks", "broker", "database", "live", "messages", "mixed", "providers", "web", "workers"]
