"""What the adapter sees and what it is to write: windows, encoded once, kept, and handed out."""
