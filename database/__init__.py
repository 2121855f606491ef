"""Features of PostgreSQL and Valkey beyond the ORM and the cache."""
