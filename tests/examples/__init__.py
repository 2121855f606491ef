"""The examples are true: each is applied and run."""
