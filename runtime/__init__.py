"""Shared by all processes: heartbeats, garbage collection, a Valkey that may be away."""
