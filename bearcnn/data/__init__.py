"""Photos to labelled, split, decoded pixels. Light: nothing here loads torch."""
