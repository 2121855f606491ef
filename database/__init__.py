"""What PostgreSQL can do that the ORM does not reach."""
