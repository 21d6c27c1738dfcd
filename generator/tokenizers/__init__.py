"""Floor 1: pieces to token ids and back, each tokenizer with an incremental decoder that is also its grammar."""
