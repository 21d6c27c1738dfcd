"""Streams that play live to a MIDI port, and answer what a musician plays."""
