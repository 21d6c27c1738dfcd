// The MIDI messages that the page sends and understands: their kinds, and the controllers.

export const [OFF, ON, CONTROL, PROGRAM] = [0x80, 0x90, 0xb0, 0xc0];
export const [SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF] = [64, 120, 123];
