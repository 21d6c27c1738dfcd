"""Floor 3: the LSTM, its state and its files."""
