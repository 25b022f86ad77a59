"""Run stages over items, decide what is up to date, keep records. Nothing here is about film."""
