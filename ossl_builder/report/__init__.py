"""The report: what is in a corpus, as pages for its curator."""
