"""Label Studio: send clips as tasks, pull answers, serve the clips to browsers."""
