"""The report: a run folder to one HTML page."""
