"""`python -m tieline` is the command `tieline`."""

from tieline.cli import main

main()
