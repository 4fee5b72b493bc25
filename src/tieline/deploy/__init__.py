"""Deployers: what turns an environment into something that runs."""
