"""The live board: all orders, or one, in a browser."""
