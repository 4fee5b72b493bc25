"""The only subprocess that runs git."""
