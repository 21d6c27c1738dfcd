// Call and response: while one plays, the music waits; after a rest the stream hears the phrase, and answers.

import { CONTROL, OFF, ON, SUSTAIN } from "./messages.js";
import { recall, remember, TAB } from "./storage.js";
import { isBefore } from "./times.js";

const PHRASES = "carousel-phrases"; // in the tab's storage
const MOST_PHRASES = 6;
const MOST_SHOWN = 200; // notes
const MOST_MESSAGES = 1000; // as the server has it
const LONGEST = 115; // seconds
const LEAD = 0.08; // seconds between what the server answers and its first sound
const BEFORE_BAR = 0.3; // seconds before a bar line at which an answer is asked for that begins there

export class Duet {
  constructor(music, output) {
    this.music = music;
    this.output = output;
    this.answers = true;
    this.rest = 0.7; // seconds after which a phrase is over; null for the next bar line
    this.voice = null; // the number of the voice that plays; null for whichever suits
    this.phrases = recalled(); // the newest first: {name, voice, messages}
    this.beginning = null; // the phrase from which the next start goes on
    this.changed = () => {}; // when keys or phrases have changed
    this.delays = []; // milliseconds from each event to its sound, the latest
    this.down = new Map(); // pitch → its sound, and its note on the roll, as long as the key is down
    this.sustained = []; // what sounds on only because of the pedal
    this.pedal = false;
    this.reset();
  }

  /* What was played so far leads to nothing. */
  reset() {
    this.messages = []; // [seconds of the audio clock, …the MIDI message]
    this.first = 0; // when the phrase began that the stream answers
    this.held = null; // the position from which on nothing else sounds, while the listener plays
    this.grid = null; // then: the last bar line before it, and the length of its bar
  }

  /* As the music's position, but it runs on while the listener plays. */
  get playhead() {
    const { music } = this;
    if (this.held === null || music.stopped !== null) return music.position;
    const { currentTime, outputLatency } = music.synth.context;
    return Math.max(0, music.positionAt(currentTime - (outputLatency || 0)));
  }

  get sound() {
    const { mix, voices } = this.music;
    return voices.length ? mix.instrument(voices[this.voice] ? this.voice : 0) : null;
  }

  /* A key goes down: it sounds at once. */
  press(pitch, velocity, stamp = performance.now()) {
    const { music } = this;
    const { stage, synth } = music;
    if (!this.sound) return;
    if (stage.state === "paused") stage.play();
    synth.unlock();
    this.release(pitch, stamp);
    const sound = synth.begin(this.sound, pitch, velocity, synth.context.currentTime);
    this.output.send(ON, this.voice ?? 0, pitch, velocity);
    this.delays = [...this.delays, performance.now() - stamp].slice(-200);
    const note = [this.playhead, null, pitch, velocity, this.voice ?? 0, pitch, true];
    if (stage.state === "playing") music.roll.played = [...music.roll.played.slice(-MOST_SHOWN), note];
    this.down.set(pitch, { sound, note, voice: this.voice ?? 0 });
    this.record(stamp, ON, pitch, velocity);
    if (this.answers && stage.state === "playing" && music.origin !== null && this.held === null) this.hold();
    this.changed();
  }

  /* A key comes up. */
  release(pitch, stamp = performance.now()) {
    const key = this.down.get(pitch);
    if (!key) return;
    this.down.delete(pitch);
    if (this.pedal) this.sustained.push({ pitch, ...key });
    else this.end({ pitch, ...key });
    this.record(stamp, OFF, pitch, 0);
    this.changed();
  }

  end({ sound, note, voice, pitch }) {
    sound.release(this.music.synth.context.currentTime);
    this.output.send(OFF, voice, pitch, 0);
    note[1] = Math.max(0.05, this.playhead - note[0]);
  }

  /* The sustain pedal, from 0 to 127. */
  sustain(value, stamp = performance.now()) {
    this.pedal = value >= 64;
    if (!this.pedal) for (const key of this.sustained.splice(0)) this.end(key);
    this.record(stamp, CONTROL, SUSTAIN, value);
  }

  /* All keys come up. */
  letGo() {
    for (const pitch of [...this.down.keys()]) this.release(pitch);
    this.sustain(0);
  }

  /* From now on nothing else sounds, but what has begun may end. */
  hold() {
    const { music } = this;
    const from = music.committed(0);
    const bars = music.roll.bars.map(([at]) => at);
    const next = bars.findIndex((at) => at > from);
    const place = next < 0 ? bars.length - 1 : next;
    this.grid = place > 0 ? { line: bars[place - 1], bar: bars[place] - bars[place - 1] } : null;
    this.held = from;
    music.ended = false;
    music.takeBack(from);
    for (const note of music.notes) note.until = Math.min(note.until, Math.max(note.end, from));
    music.letGo();
    music.roll.takeBack(from, []);
  }

  /* Whether a chunk comes while the listener plays: it is drawn again once the phrase is heard. */
  waits({ phrase, from }) {
    if (this.held === null || phrase) return false;
    this.held = Math.min(this.held, from ?? Infinity);
    return true;
  }

  /* The stream has heard the phrase, and the chunk goes on from it. */
  answer({ phrase, from, notes }) {
    const { music } = this;
    music.origin = this.originFor(phrase, from);
    this.held = null;
    music.roll.played = [];
    if (phrase.refused) music.stage.say(phrase.refused);
    for (const note of notes) note.push(phrase.begin <= note[0] && isBefore(note[0], phrase.end));
  }

  /* That chunk is here. The listener may play on already. */
  goOn() {
    if (this.messages.length && this.answers) this.hold();
  }

  record(stamp, ...message) {
    const { stage, synth } = this.music;
    if (stage.state === "starting" || (message[0] !== ON && !this.messages.length)) return;
    if (this.messages.length === MOST_MESSAGES) return;
    const { currentTime, outputLatency } = synth.context;
    const seconds = currentTime - (outputLatency || 0) - (performance.now() - stamp) / 1000; // on what was heard then
    this.messages.push([Math.max(seconds, this.messages.at(-1)?.[0] ?? 0), ...message]);
  }

  /* Is the phrase over? */
  tick() {
    if (!this.messages.length || this.music.stage.pulls.phrase) return;
    const { currentTime } = this.music.synth.context;
    if (currentTime - this.messages[0][0] > LONGEST || this.messages.length === MOST_MESSAGES) this.finish();
    else if (!this.down.size && currentTime - this.messages.at(-1)[0] >= this.patience(currentTime)) this.finish();
  }

  /* The seconds of silence that end a phrase now. */
  patience(now) {
    const { grid } = this;
    const { music } = this;
    if (this.rest !== null) return this.rest;
    if (music.origin === null || !grid) return 1;
    const left = grid.bar - ((((music.positionAt(now) - grid.line) % grid.bar) + grid.bar) % grid.bar);
    return left < BEFORE_BAR ? 0.15 : grid.bar;
  }

  /* The phrase is over: it is kept, and the stream hears it, or begins with it. */
  finish() {
    const { music } = this;
    const { stage } = music;
    const [[first]] = this.messages;
    const rounded = (seconds) => Math.round(1e4 * seconds) / 1e4;
    const messages = this.messages.map(([seconds, ...message]) => [rounded((seconds - first) * music.rate), ...this.ofStream(message)]);
    const voice = music.voices[this.voice]?.name ?? "";
    const phrase = { voice, messages };
    this.messages = [];
    this.keep(phrase);
    if (!this.answers && this.held === null) return;
    if (stage.state === "idle") stage.wait("start", this.request(phrase));
    if (stage.state !== "playing" || this.held === null) return;
    this.first = first;
    const at = Math.max(0, rounded(music.positionAt(first)));
    stage.pulls.phrase = { heard: this.held, phrase: { at, ...phrase } };
    stage.pulls.urgent = true;
    stage.tick();
  }

  /* A message as the stream is to hear it, which may sound transposed. */
  ofStream([status, data, ...more]) {
    return status === CONTROL ? [status, data, ...more] : [status, this.music.mix.ownPitch(this.voice ?? 0, data), ...more];
  }

  /* What a start is asked for that begins with a phrase. */
  request({ voice, messages }) {
    return { at: Date.now(), phrase: { at: 0, voice, messages } };
  }

  /* The audio clock's time at the stream's second 0 from now on: the answer begins at a bar line, as soon as it can. */
  originFor({ begin, end, bar, refused }, from) {
    const { origin, rate, synth } = this.music;
    const soon = synth.context.currentTime + LEAD;
    if (refused) return soon - from / rate;
    if (!bar) return Math.max(this.first - begin / rate, soon - end / rate);
    const length = bar / rate;
    const bars = Math.round((this.first - begin / rate - origin) / length);
    const late = Math.max(0, Math.ceil((soon - end / rate - origin - bars * length) / length));
    return origin + (bars + late) * length;
  }

  get report() {
    return { held: this.held, playing: this.down.size, phrases: this.phrases.length, delays: this.delays };
  }

  keep(phrase) {
    const number = 1 + Math.max(0, ...this.phrases.map(({ name }) => Number(name)));
    this.phrases = [{ name: String(number), ...phrase }, ...this.phrases].slice(0, MOST_PHRASES);
    this.remember();
  }

  remove(phrase) {
    this.phrases = this.phrases.filter((one) => one !== phrase);
    if (this.beginning === phrase) this.beginning = null;
    this.remember();
  }

  remember() {
    remember(TAB, PHRASES, this.phrases);
    this.changed();
  }
}

/* The phrases that the tab remembers; whatever else is stored there is left out. */
function recalled() {
  const found = recall(TAB, PHRASES);
  const isMessage = (message) => Array.isArray(message) && message.length === 4 && message.every(Number.isFinite);
  const isPhrase = (one) => Number(one?.name) > 0 && typeof one.voice === "string" && Array.isArray(one.messages) && one.messages.length && one.messages.every(isMessage);
  return (Array.isArray(found) ? found : []).filter(isPhrase).slice(0, MOST_PHRASES);
}
