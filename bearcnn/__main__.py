"""`python -m bearcnn`."""

from bearcnn.cli.app import main

if __name__ == "__main__":  # worker processes import this file under another name
    main()
