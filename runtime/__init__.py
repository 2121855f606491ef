"""Shared by all processes: heartbeats, garbage collection, optional Valkey."""
