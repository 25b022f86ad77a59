"""Splits: find material that films share, and assign each film to one split."""
