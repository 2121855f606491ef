"""Stripe: payments as PaymentIntents with manual capture."""
