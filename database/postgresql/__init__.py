"""Django's way to PostgreSQL, with a health check that asks nobody: the setting DATABASES names this package."""
