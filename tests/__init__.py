"""Tests. Several of them import `tests.films`."""
