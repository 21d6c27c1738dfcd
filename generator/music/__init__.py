"""Floor 0: music as values, and reading and writing files of music."""
