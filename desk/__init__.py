"""What operators add to orders: notes, assignees, tags, saved filters, and one history of everything."""
