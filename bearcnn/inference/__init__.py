"""A model file and photos to answers and heat maps, by one of several engines."""
