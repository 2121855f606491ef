"""What PostgreSQL and Valkey can do that the ORM and the cache do not reach."""
