"""Windows of clips: encoded once, stored, and read in batches."""
