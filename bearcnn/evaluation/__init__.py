"""Labels and probabilities to numbers with intervals; no model and no photo is needed."""
