"""Fetch: get a film's file from its recorded source, verify and measure it."""
