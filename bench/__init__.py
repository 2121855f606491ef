"""How fast it is, shown by one command: ours beside the textbook, on the same machine, turn by turn."""
