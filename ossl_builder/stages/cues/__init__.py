"""Cues: continuous segments of music, found in the stems."""
