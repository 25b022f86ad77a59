"""The video adapter, its files, and tiny models to try it with."""
