"""Export a corpus in the formats of dataset libraries, of the published code, and as CSV."""
