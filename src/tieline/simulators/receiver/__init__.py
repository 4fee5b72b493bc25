"""A receiver of webhooks, simulated: records what arrives, verifies its signatures, and misbehaves on demand.

How it answers is switched by `Receiver.behave`, or over HTTP at `/_simulator/behaviours` when it runs as a program.
"""

from tieline.simulators.receiver.arrivals import Arrival
from tieline.simulators.receiver.behaviour import Behaviour
from tieline.simulators.receiver.receiver import Receiver

__all__ = ["Arrival", "Behaviour", "Receiver"]
