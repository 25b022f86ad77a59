"""Annotations: the label schema, the records, agreement, and the labels derived from them."""
