"""Sends what must reach somebody outside, and tries again."""
