"""Calls to providers over HTTP, with timeouts, retries and a circuit breaker."""
