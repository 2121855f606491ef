"""What every process does alike: heartbeats, garbage collection, Valkey that may be away."""
