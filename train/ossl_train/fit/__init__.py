"""Fitting the adapter: one readable loop, and what it stands on."""
