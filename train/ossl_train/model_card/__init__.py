"""An adapter made ready for others: what it is, what it was fitted on, how good it is."""
