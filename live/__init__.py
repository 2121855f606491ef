"""Live updates: WebSockets that follow the journal without gaps."""
