"""The payment ledger and the provider behind it."""
