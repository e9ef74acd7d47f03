"""What the command line shows: tables, progress, predictions."""
