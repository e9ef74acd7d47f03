"""Settings x seeds to statistics and a summary; torch is loaded in a trial only."""
