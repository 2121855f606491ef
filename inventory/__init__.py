"""Products, stock, reservations."""
