"""`make run`: engines, processes, and their supervisor."""
