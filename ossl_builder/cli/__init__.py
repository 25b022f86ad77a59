"""The command line: one short file per command group; commands only call the library."""
