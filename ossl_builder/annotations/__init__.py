"""Annotations: the questions, the records, agreement, and the labels derived from them."""
