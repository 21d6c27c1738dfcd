// The names of notes, spelled in a key as everything else spells them (`generator/music/names.py`).

const LETTERS = "FCGDAEB"; // in order of fifths
const ACCIDENTALS = ["♭♭", "♭", "", "♯", "♯♯"];

/* The name of a MIDI pitch in a key with so many sharps; flats are negative. */
export function noteName(pitch, sharps) {
  const lowest = sharps - 3; // fifths above C
  const fifths = lowest + ((((7 * pitch - lowest) % 12) + 12) % 12);
  const alteration = Math.floor((fifths + 1) / 7);
  const letter = LETTERS[fifths + 1 - 7 * alteration];
  return `${letter}${ACCIDENTALS[alteration + 2]}${Math.floor((pitch - alteration) / 12) - 1}`;
}
