"""How much one account may ask for: rates, and the exceptions that operators make for single accounts."""
