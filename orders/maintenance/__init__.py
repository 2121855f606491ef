"""What runs on a schedule: audit, archive, retention, canary, deadlines."""
