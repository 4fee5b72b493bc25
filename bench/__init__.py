"""Benchmarks: ratios against a baseline of the same run, printed as one table by `make bench`."""
