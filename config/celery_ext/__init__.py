"""Changes to Celery and kombu, one file each: why it is there, and when it can go."""
