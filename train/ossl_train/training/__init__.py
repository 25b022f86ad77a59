"""Train the adapter: one loop that reads from top to bottom, and its parts."""
