"""The built-in data set: drawn scenes with a bear, another animal or none."""
