"""The command line: one short file per group of commands; each a thin twin of plain functions."""
