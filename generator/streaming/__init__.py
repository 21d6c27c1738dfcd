"""Floor 4: generation."""
