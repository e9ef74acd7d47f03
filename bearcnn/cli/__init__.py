"""The command line: one module a command, and `display`, the only code that prints."""
