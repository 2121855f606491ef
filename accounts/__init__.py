"""API tokens: how programs prove which account they act for."""
