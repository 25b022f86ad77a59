"""Media files: demux, decode, measure, cut, encode. PyAV and ffmpeg-python are used here only."""
