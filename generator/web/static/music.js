// Music: notes are scheduled on the audio clock as soon as they are known, and drawn from the same clock.

import { Branches } from "./branches.js";
import { watching } from "./cells.js";
import { Duet } from "./duet.js";
import { made } from "./elements.js";
import { Keyboard } from "./keyboard.js";
import { Media } from "./media.js";
import { Metronome } from "./metronome.js";
import { Midi } from "./midi.js";
import { Mix } from "./mix.js";
import { Mixer, volumeSlider } from "./mixer.js";
import { mounts } from "./mount.js";
import { Notes } from "./notes.js";
import { Output } from "./output.js";
import { Radio } from "./radio.js";
import { releaseOf } from "./release.js";
import { Roll } from "./roll.js";
import { scaleOf } from "./scale.js";
import { Sheet } from "./sheet.js";
import { Synth } from "./synth.js";
import { isBefore } from "./times.js";

const LEAD = 0.08; // seconds between the first chunk and its first sound
const CATCH_UP = 0.2; // after a gap

const clockWords = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")}`;

class Music {
  title = "Music";
  soFar = "What has been heard";
  ahead = 8;
  first = 0.8;
  words = clockWords;

  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.synth = new Synth();
    this.element = made('<div class="head"><ul class="voices" aria-label="Voices"></ul></div><canvas role="img" aria-label="Piano roll"></canvas>', "music");
    this.roll = new Roll(this.element.querySelector("canvas"), () => this.duet.playhead, "Press Start. The music is made while you listen.");
    this.controls = [volumeSlider(this.synth)];
    this.voices = [];
    this.mix = new Mix();
    this.rate = 1; // seconds of the stream in a second
    this.mixer = new Mixer(this);
    this.sheet = new Sheet(this);
    this.metronome = new Metronome(this);
    this.radio = new Radio(this);
    this.output = new Output(this);
    this.duet = new Duet(this, this.output);
    this.keyboard = new Keyboard(this.duet);
    const seen = watching(stage, this, (now, width, isStill) => ({ ...scaleOf(width, now, isStill), rate: this.rate }));
    const unseen = [this.metronome, this.sheet, new Media(this), new Notes(stage, this)];
    this.parts = [this.keyboard, new Midi(this, this.duet, this.output), this.mixer, new Branches(stage), this.radio, ...seen, ...unseen];
    this.reset();
  }

  reset() {
    this.duet.reset();
    this.origin = null; // the audio clock's time at the stream's second 0
    this.horizon = 0;
    this.ended = false;
    this.stopped = null; // the position at which it was stopped
    this.notes = []; // those that are not over yet
    this.pedals = new Map(); // voice → [[seconds, down], …]
    this.scheduled = 0;
    this.latest = 0;
    this.sharps = 0;
    this.underruns = 0;
    this.late = 0; // notes that came when they should have sounded already
    this.firstSound = null;
  }

  /* How far the stream has been heard, in seconds. Silence before the first note counts as heard. */
  get position() {
    if (this.stopped !== null) return this.stopped;
    if (this.origin === null) return this.horizon;
    const { currentTime, outputLatency } = this.synth.context;
    return Math.max(0, Math.min(this.positionAt(currentTime - (outputLatency || 0)), this.duet.held ?? this.horizon));
  }

  get holds() {
    return this.duet.held !== null && !this.stage.pulls.phrase;
  }

  get beginning() {
    return this.duet.beginning && this.duet.request(this.duet.beginning);
  }

  committed(seconds) {
    if (this.origin === null || this.stopped !== null) return this.position;
    return Math.max(0, this.positionAt(this.synth.context.currentTime + seconds));
  }

  secondsUntil(position) {
    return this.origin === null ? 0 : (position - this.position) / this.rate;
  }

  /* The audio clock's time at a position. */
  timeOf(position) {
    return this.origin + position / this.rate;
  }

  /* The position at a time of the audio clock. */
  positionAt(seconds) {
    return (seconds - this.origin) * this.rate;
  }

  load(voices) {
    return this.synth.load(voices).catch((error) => this.stage.say(error.message));
  }

  prepare(data) {
    const isIdle = this.origin === null || this.stopped !== null;
    if (isIdle && this.mix.name !== data.checkpoint) this.mixer.open(data, data.voices);
    else this.load(data.voices);
    this.keyboard.offer(this.voices);
  }

  instruments() {
    return this.mix.instruments;
  }

  unlock() {
    this.synth.unlock();
  }

  mayPlay() {
    this.unlock();
    return this.synth.mayPlay();
  }

  begin(live) {
    this.reset();
    this.horizon = live.at;
    this.ready = this.mixer.open(this.stage.data, live.voices);
    this.roll.reset({ ...live, before: this.shown(live.before) });
    this.step(live.before.pedals);
    this.output.begin(live);
  }

  /* Events as they are shown. */
  shown(events) {
    return { ...events, notes: this.mix.notes(events.notes) };
  }

  async accept(chunk) {
    if (chunk.voices) this.ready = this.mixer.open(this.stage.data, chunk.voices); // a drummer has come
    const ready = this.ready;
    await ready;
    // Stopped, or begun anew, while the instruments were on their way.
    if (ready !== this.ready || this.stopped !== null) return;
    const { synth } = this;
    const now = synth.context.currentTime;
    if (this.duet.waits(chunk)) return;
    if (chunk.phrase) this.duet.answer(chunk);
    else if (this.origin === null) {
      // A first bar may be silent up to its pickup; nobody waits for that.
      if (chunk.notes.length) this.origin = now + LEAD - Math.max(chunk.notes[0][0], this.horizon) / this.rate;
    } else if (now > this.timeOf(this.horizon)) {
      this.underruns += 1;
      this.origin = now + CATCH_UP - this.horizon / this.rate;
    }
    if (chunk.from !== undefined) this.takeBack(chunk.from);
    this.step(chunk.pedals);
    const since = chunk.phrase ? (chunk.phrase.end ?? chunk.from) : 0; // the phrase itself has sounded
    for (const [start, duration, pitch, velocity, voice] of chunk.notes) {
      if (!isBefore(start, since)) this.play(start, duration, pitch, velocity, voice);
    }
    this.roll.add(this.shown(chunk));
    this.sharps = chunk.sharps;
    this.roll.sharps = this.mix.sharps(chunk.sharps);
    this.output.add(chunk);
    this.horizon = chunk.horizon;
    this.ended = chunk.ended;
    if (this.ended) this.horizon = Math.max(this.horizon, this.latest);
    this.letGo();
    if (chunk.phrase) this.duet.goOn();
  }

  /* Pedals change, in order of time. */
  step(pedals) {
    for (const [at, down, voice] of pedals) {
      if (!this.pedals.has(voice)) this.pedals.set(voice, []);
      this.pedals.get(voice).push([at, down]);
    }
  }

  /* What starts at a position or later is drawn again, and with it the ends of the notes that sound there. */
  takeBack(from) {
    this.notes = this.notes.filter((note) => {
      if (isBefore(note.start, from)) return true;
      note.sound.cancel();
      this.scheduled -= 1;
      return false;
    });
    for (const note of this.notes) {
      if (note.release !== null && note.release <= from) continue;
      note.sound.hold();
      note.release = null;
      note.until = Infinity;
    }
    for (const [voice, changes] of this.pedals) {
      this.pedals.set(voice, changes.filter(([at]) => isBefore(at, from)));
    }
    this.latest = Math.min(this.latest, from);
  }

  play(start, duration, pitch, velocity, voice) {
    const end = start + duration;
    this.latest = Math.max(this.latest, end);
    const begun = this.notes.find((note) => note.start === start && note.voice === voice && note.pitch === pitch);
    if (begun) {
      begun.end = end;
      return;
    }
    const now = this.synth.context.currentTime;
    const when = this.timeOf(start);
    if (when < now) this.late += 1;
    if (this.timeOf(end) <= now) return;
    for (const note of this.notes) {
      // The same key again: the string is struck anew.
      if (note.voice === voice && note.pitch === pitch) note.until = Math.min(note.until, start);
    }
    const note = { voice, pitch, velocity, start, end, until: Infinity, release: null };
    this.notes.push({ ...note, sound: this.sound(note) });
    this.scheduled += 1;
    this.firstSound ??= (performance.now() - this.stage.clicked) / 1000 + when - this.synth.context.currentTime;
  }

  /* Whatever has not begun to sound sounds anew, from now on at another rate. */
  again(rate) {
    if (this.origin === null || this.stopped !== null) return;
    const { currentTime } = this.synth.context;
    const now = this.positionAt(currentTime);
    this.rate = rate;
    this.origin = currentTime - now / rate;
    for (const note of this.notes) {
      if (note.start > now) {
        note.sound.cancel();
        note.sound = this.sound(note);
      } else note.sound.hold();
      note.release = null;
    }
    this.letGo();
  }

  sound({ voice, pitch, velocity, start }) {
    const { mix, synth } = this;
    const when = Math.max(this.timeOf(start), synth.context.currentTime);
    return synth.begin(mix.instrument(voice), mix.pitch(voice, pitch), velocity, when, synth.strip(voice));
  }

  /* Release every note whose end is known: where its key comes up, or its pedal, or its key goes down again. */
  letGo() {
    for (const [voice, changes] of this.pedals) {
      // Of what lies long behind only the last change still matters.
      const past = changes.findLastIndex(([at]) => at < this.position - 60);
      if (past > 0) this.pedals.set(voice, changes.slice(past));
    }
    this.notes = this.notes.filter(({ release }) => release === null || release > this.position - 1);
    for (const note of this.notes) {
      if (note.release !== null) continue;
      note.release = releaseOf(note, this.pedals.get(note.voice) ?? [], this.horizon, this.ended);
      if (note.release !== null) note.sound.release(Math.max(this.timeOf(note.release), this.synth.context.currentTime));
    }
  }

  pause() {
    this.synth.context.suspend();
  }

  resume() {
    this.unlock();
  }

  stop() {
    this.stopped = this.position;
    this.duet.reset();
    this.synth.silence();
    this.synth.context?.resume();
  }

  close() {
    this.roll.close();
    this.synth.context?.close();
  }

  get report() {
    const { scheduled, latest, underruns, late, firstSound } = this;
    const clock = this.synth.context?.state ?? "none";
    const { level, voiceLevels, sounding } = this.synth;
    const { sharps } = this.roll;
    const more = { ...this.duet.report, clicks: this.metronome.clicks, sounding: sounding.size };
    return { scheduled, latest, underruns, late, firstSound, clock, level, voiceLevels, sharps, ...more };
  }
}

export default mounts(Music);
