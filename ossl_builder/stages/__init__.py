"""What is done: one file per stage, each a frozen value around one plain function."""
