"""Tests; `tests.films` is imported by several of them."""
