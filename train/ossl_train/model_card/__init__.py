"""Export an adapter for publication, with its model card."""
