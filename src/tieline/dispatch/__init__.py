"""Tells whoever wants to know what happened: finds out who that is, sends, and tries again."""
