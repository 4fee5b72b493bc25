"""`python -m tieline.simulators.receiver`."""

from tieline.simulators.receiver.program import main

main()
