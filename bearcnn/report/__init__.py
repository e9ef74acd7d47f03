"""A run folder to one HTML page."""
