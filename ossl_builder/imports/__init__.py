"""Import a released corpus: read its format, measure its clips, report problems."""
