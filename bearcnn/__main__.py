"""`python -m bearcnn`."""

from bearcnn.cli import main

main()
