"""A stream on MIDI ports, together with a musician."""
