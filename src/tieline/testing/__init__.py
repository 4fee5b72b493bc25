"""Tieline as the other end of tests: a pytest plugin, there by itself where Tieline is installed.

The fixtures are in `plugin`; nothing else is loaded before one of them is used.
"""
