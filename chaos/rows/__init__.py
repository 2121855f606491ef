"""The rows of the fault matrix, by what they hit. Importing this enters all of them into `chaos.arena.ROWS`."""

from chaos.rows import broker, database, live, messages, mixed, providers, web, workers

__all__ = ["broker", "database", "live", "messages", "mixed", "providers", "web", "workers"]
