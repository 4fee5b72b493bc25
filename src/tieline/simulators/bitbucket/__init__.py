"""Bitbucket Cloud, simulated: its REST API 2.0 as far as integrations need it, OAuth, webhooks, real Git.

Its answers carry no more than what the real one sends, and refuse what the real one refuses. Faults are
switched by `BitbucketSimulator.faults`, or over HTTP at `/_simulator/faults` when it runs as a program.
"""

from tieline.simulators.bitbucket.simulator import BitbucketSimulator

__all__ = ["BitbucketSimulator"]
