"""Benchmarks: ours and a textbook implementation in alternating runs on one machine."""
