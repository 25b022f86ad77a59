"""Write web pages that show a corpus to its curator."""
