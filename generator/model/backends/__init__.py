"""One step of the LSTM, fast, for a batch of states."""
