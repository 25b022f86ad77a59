"""Compare systems by ear: one page, the same clips, the music of each system."""
