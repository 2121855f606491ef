"""Rate limits, and overrides for single accounts."""
