"""The live board: what is happening to all orders, and to one, for people in front of a browser."""
