// How the listener wants a checkpoint's music played. The browser remembers it for each checkpoint.

import { BROWSER, recall, remember } from "./storage.js";

const KEY = "carousel-mix";
const MOST = 24; // checkpoints that are remembered
const LONGEST = 100_000; // characters
export const RANGE = 12; // semitones of transposition, up and down
export const RATES = [0.5, 0.6, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2];

const whole = (value, low, high, other) => (Number.isInteger(value) && low <= value && value <= high ? value : other);
const share = (value, other) => (typeof value === "number" && value >= 0 && value <= 1 ? value : other);

export class Mix {
  constructor() {
    this.open("", []);
  }

  /* Be that of a checkpoint: what is remembered, or what the checkpoint brings. */
  open(name, voices) {
    const kept = remembered()[name] ?? {};
    const isOwn = Array.isArray(kept.voices) && Math.abs(kept.voices.length - voices.length) < 2;
    const own = isOwn ? kept.voices : [];
    this.absent = own.slice(voices.length); // the drummer, who does not play now
    this.name = name;
    this.brought = voices;
    this.transpose = whole(kept.transpose, -RANGE, RANGE, 0);
    this.rate = RATES.includes(kept.rate) ? kept.rate : 1;
    this.metronome = kept.metronome === true;
    this.voices = voices.map(({ program }, index) => ({
      program: whole(own[index]?.program, 0, 127, program),
      volume: share(own[index]?.volume, 1),
      muted: own[index]?.muted === true,
      solo: own[index]?.solo === true,
    }));
  }

  /* Back to what the checkpoint brings. */
  reset() {
    this.save(true);
    this.open(this.name, this.brought);
  }

  save(forget = false) {
    const { name, transpose, rate, metronome } = this;
    const voices = [...this.voices, ...this.absent];
    const all = Object.entries(remembered()).filter(([other]) => other !== name).slice(1 - MOST);
    if (!forget) all.push([name, { transpose, rate, metronome, voices }]);
    remember(BROWSER, KEY, Object.fromEntries(all));
  }

  /* What plays a voice. */
  instrument(voice) {
    return { program: this.voices[voice].program, drum: this.brought[voice].drum };
  }

  /* What plays the voices. */
  get all() {
    return this.voices.map((_, voice) => this.instrument(voice));
  }

  /* A voice that is not heard has 0: it is muted, or others are heard alone. */
  level(voice) {
    const { volume, muted, solo } = this.voices[voice];
    const isHeard = !muted && (solo || !this.voices.some((other) => other.solo));
    return isHeard ? volume ** 2 : 0;
  }

  /* A pitch of the stream as it is heard. Drums are not transposed, as their pitches are instruments. */
  pitch(voice, pitch) {
    const moved = this.brought[voice]?.drum ? pitch : pitch + this.transpose;
    return moved >= 0 && moved <= 127 ? moved : pitch;
  }

  /* The pitch of the stream that is heard as a pitch. */
  ownPitch(voice, pitch) {
    const own = 2 * pitch - this.pitch(voice, pitch);
    return this.pitch(voice, own) === pitch ? own : pitch;
  }

  /* The sharps of a key as it is heard. */
  sharps(sharps) {
    return this.transpose ? ((((sharps + 7 * this.transpose + 5) % 12) + 12) % 12) - 5 : sharps;
  }

  /* Notes as they are shown, with the stream's own pitch, and whether the listener has played them. */
  notes(notes) {
    return notes.map(([start, duration, pitch, velocity, voice, isPlayed]) => [
      start, duration, this.pitch(voice, pitch), velocity, voice, pitch, isPlayed,
    ]);
  }

  /* The programs that the listener has chosen, by the names of their voices. */
  get instruments() {
    const chosen = this.voices.map(({ program }, index) => [this.brought[index].name, program]);
    return Object.fromEntries(chosen.filter(([, program], index) => program !== this.brought[index].program));
  }
}

/* The mixes that are remembered, by the names of their checkpoints. */
function remembered() {
  const found = recall(BROWSER, KEY, LONGEST);
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  return Object.fromEntries(Object.entries(isObject(found) ? found : {}).filter(([, mix]) => isObject(mix)));
}
