"""Floor 0: music as values, and the files it lives in."""
