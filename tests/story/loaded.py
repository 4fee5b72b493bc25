"""What a server loads, for the process that servers are forked from."""

import gc

import tieline.api.application
import tieline.app
import tieline.cli.application
import tieline.seeds.export
import tieline.seeds.load
import tieline.seeds.playground
import tieline.seeds.read
import tieline.store.migrate  # noqa: F401

# What is never looked at is never copied.
gc.freeze()
