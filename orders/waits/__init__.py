"""Waits of orders, and what ends them before their time."""
