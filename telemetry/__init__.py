"""What processes say about themselves while they work: counts that all of them share, and traces."""
