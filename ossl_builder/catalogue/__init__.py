"""The catalogue of films: choose films, record them, check that their sources are still there."""
