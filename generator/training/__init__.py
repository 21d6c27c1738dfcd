"""One run that trains a checkpoint, and what it leaves in its folder."""
