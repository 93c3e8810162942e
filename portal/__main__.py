"""`python -m portal` is `lockstep`."""

from portal.cli import main

main()
