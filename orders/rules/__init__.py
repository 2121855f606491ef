"""What the workflow stands on, without I/O: what a leg declares, when a journey is due, and who decides later."""
