"""Splits: which films share material, and which split each film belongs to."""
