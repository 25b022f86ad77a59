"""Clips: cues cut out of their film, with video, mix and stems."""
