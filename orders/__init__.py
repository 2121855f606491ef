"""The order and its journey."""
