"""ISO codes."""
