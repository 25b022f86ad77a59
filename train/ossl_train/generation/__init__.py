"""Music for a picture: windows that overlap, one adapter, one seed per sample."""
