// The instruments of General MIDI, by their programs: 16 families of eight.

const FAMILIES = {
  Pianos: "Grand piano, Bright piano, Electric grand piano, Honky-tonk piano, Electric piano 1, Electric piano 2, Harpsichord, Clavinet",
  Bells: "Celesta, Glockenspiel, Music box, Vibraphone, Marimba, Xylophone, Tubular bells, Dulcimer",
  Organs: "Drawbar organ, Percussive organ, Rock organ, Church organ, Reed organ, Accordion, Harmonica, Tango accordion",
  Guitars: "Nylon guitar, Steel guitar, Jazz guitar, Clean guitar, Muted guitar, Overdriven guitar, Distortion guitar, Guitar harmonics",
  Basses: "Acoustic bass, Fingered bass, Picked bass, Fretless bass, Slap bass 1, Slap bass 2, Synth bass 1, Synth bass 2",
  Strings: "Violin, Viola, Cello, Contrabass, Tremolo strings, Pizzicato strings, Harp, Timpani",
  Ensembles: "String ensemble 1, String ensemble 2, Synth strings 1, Synth strings 2, Choir aahs, Voice oohs, Synth choir, Orchestra hit",
  Brass: "Trumpet, Trombone, Tuba, Muted trumpet, French horn, Brass section, Synth brass 1, Synth brass 2",
  Reeds: "Soprano saxophone, Alto saxophone, Tenor saxophone, Baritone saxophone, Oboe, English horn, Bassoon, Clarinet",
  Pipes: "Piccolo, Flute, Recorder, Pan flute, Blown bottle, Shakuhachi, Whistle, Ocarina",
  Leads: "Square lead, Sawtooth lead, Calliope lead, Chiff lead, Charang lead, Voice lead, Fifths lead, Bass lead",
  Pads: "New age pad, Warm pad, Polysynth pad, Choir pad, Bowed pad, Metallic pad, Halo pad, Sweep pad",
  Effects: "Rain, Soundtrack, Crystal, Atmosphere, Brightness, Goblins, Echoes, Science fiction",
  "Of the world": "Sitar, Banjo, Shamisen, Koto, Kalimba, Bagpipe, Fiddle, Shanai",
  Percussion: "Tinkle bell, Agogo, Steel drums, Woodblock, Taiko drum, Melodic tom, Synth drum, Reverse cymbal",
  Noises: "Fret noise, Breath noise, Seashore, Bird tweet, Telephone ring, Helicopter, Applause, Gunshot",
};

/* A select box with all of them, whose value is the program. A drum kit stays what it is. */
export function programBox(isDrum) {
  const box = document.createElement("select");
  box.disabled = isDrum;
  if (isDrum) box.append(new Option("Drums"));
  if (isDrum) return box;
  let program = 0;
  for (const [label, names] of Object.entries(FAMILIES)) {
    const group = Object.assign(document.createElement("optgroup"), { label });
    for (const name of names.split(", ")) group.append(new Option(name, String(program++)));
    box.append(group);
  }
  return box;
}
