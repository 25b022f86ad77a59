"""Released corpora into our tables: read their layout, measure their clips, say what is wrong."""
