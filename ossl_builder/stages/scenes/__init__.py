"""Scenes: the footage between two transitions (cut, fade, dissolve)."""
