"""Benchmarks: ours and a textbook implementation, alternating on one machine."""
