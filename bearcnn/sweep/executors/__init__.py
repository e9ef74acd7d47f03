"""Where the trials of a sweep run, one module each."""
