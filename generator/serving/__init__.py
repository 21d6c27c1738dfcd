"""Floor 7: streams over HTTP, whose clients hold their own state."""
