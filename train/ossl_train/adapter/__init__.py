"""The video adapter, its files, and tiny models for tests and demos."""
