"""Measurements of a model: ranking by a piece, dynamic evaluation, and copies from the training set."""
