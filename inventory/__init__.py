"""Products, their stock, and who holds some of it."""
