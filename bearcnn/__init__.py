"""bearcnn: train a small image classifier you understand, and use it for real."""

__version__ = "0.1.0"
