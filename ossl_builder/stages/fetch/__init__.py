"""Fetch: a recorded source becomes a verified, measured film file."""
