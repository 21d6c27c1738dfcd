"""A training run and the files that it writes."""
