"""Measure generated music: against the films' own music, its prompt, and its video."""
