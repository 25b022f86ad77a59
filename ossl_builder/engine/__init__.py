"""Runs stages over items; knows nothing of film."""
