"""Music for a video: windows that overlap, one adapter, one seed per sample."""
