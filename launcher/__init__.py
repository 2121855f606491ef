"""`make run`: engines, processes and the supervisor that keeps them up."""
