"""The vocabulary of Tieline. Nothing here does I/O."""
