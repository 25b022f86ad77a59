"""Clips: cut cues from their film, as video, mix and stems."""
