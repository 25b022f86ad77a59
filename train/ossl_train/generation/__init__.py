"""Generate music for videos: overlapping windows, one adapter, one seed per sample."""
