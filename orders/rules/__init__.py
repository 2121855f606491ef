"""What the workflow stands on, without I/O: what a leg declares, and when a journey is due."""
