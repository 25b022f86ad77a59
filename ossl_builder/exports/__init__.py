"""A corpus for others: the layouts that datasets libraries, the published code and people read."""
