"""Refunds and captures of parts of an order: what is decided, how it is carried out, what fails later."""
