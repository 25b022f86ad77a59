"""The catalogue of films: choose films, add them to a corpus, check their sources."""
