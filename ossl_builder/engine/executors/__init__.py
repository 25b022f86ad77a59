"""Where items run: on this machine."""
