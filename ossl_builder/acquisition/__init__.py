"""Getting films: what the catalogue offers, what a corpus has, whether sources still stand."""
