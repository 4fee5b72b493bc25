"""Reconcile: read a Git host, decide what follows from it, and make it so."""
