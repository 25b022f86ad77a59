"""The outside tools, each hidden behind a few typed functions in the project's words."""
