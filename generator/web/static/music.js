// Music: notes are scheduled on the audio clock as soon as they are known, and drawn from the same clock.

import { Duet } from "./duet.js";
import { Keyboard } from "./keyboard.js";
import { Midi } from "./midi.js";
import { mounts } from "./mount.js";
import { Branches } from "./branches.js";
import { Notes } from "./notes.js";
import { Output } from "./output.js";
import { Synth } from "./synth.js";
import { noteName } from "./names.js";
import { isBefore, Roll } from "./roll.js";

const LEAD = 0.08; // seconds between the first chunk and its first sound
const CATCH_UP = 0.2; // after a gap

export const clockWords = (seconds) => {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

class Music {
  title = "Music";
  ahead = 8;
  first = 0.8;
  words = clockWords;

  constructor(stage) {
    this.stage = stage;
    this.synth = new Synth();
    this.element = document.createElement("div");
    this.element.className = "music";
    this.element.innerHTML = '<ul class="voices" aria-label="Voices"></ul><canvas role="img" aria-label="Piano roll"></canvas>';
    this.roll = new Roll(this.element.querySelector("canvas"), () => this.duet.playhead, "Press Start. The music is made while you listen.");
    this.controls = [volumeSlider(this.synth)];
    this.voices = [];
    this.output = new Output(this);
    this.duet = new Duet(this, this.output);
    this.keyboard = new Keyboard(this.duet);
    this.parts = [new Notes(stage, this), new Branches(stage), this.keyboard, new Midi(this, this.duet, this.output)];
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
    this.underruns = 0;
    this.late = 0; // notes that came when they should have sounded already
    this.firstSound = null;
  }

  /* How far the stream has been heard, in seconds. Silence before the first note counts as heard. */
  get position() {
    if (this.stopped !== null) return this.stopped;
    if (this.origin === null) return this.horizon;
    const { currentTime, outputLatency } = this.synth.context;
    return Math.max(0, Math.min(currentTime - (outputLatency || 0) - this.origin, this.duet.held ?? this.horizon));
  }

  get holds() {
    return this.duet.held !== null && !this.stage.pulls.phrase;
  }

  get beginning() {
    return this.duet.beginning && this.duet.request(this.duet.beginning);
  }

  committed(seconds) {
    if (this.origin === null || this.stopped !== null) return this.position;
    return Math.max(0, this.synth.context.currentTime - this.origin + seconds);
  }

  secondsUntil(position) {
    return this.origin === null ? 0 : position - this.position;
  }

  load(voices) {
    return this.synth.load(voices).catch((error) => this.stage.say(error.message));
  }

  prepare({ voices }) {
    this.load(voices);
    if (this.origin === null) this.legend(voices);
    if (this.stage.state === "idle") this.voices = voices;
    this.keyboard.offer(this.voices);
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
    this.voices = live.voices;
    this.legend(live.voices);
    this.roll.reset(live);
    this.step(live.before.pedals);
    this.output.begin(live);
    this.ready = this.load(live.voices);
  }

  async accept(chunk) {
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
      if (chunk.notes.length) this.origin = now + LEAD - Math.max(chunk.notes[0][0], this.horizon);
    } else if (now - this.origin > this.horizon) {
      this.underruns += 1;
      this.origin = now + CATCH_UP - this.horizon;
    }
    if (chunk.from !== undefined) this.takeBack(chunk.from);
    this.step(chunk.pedals);
    const since = chunk.phrase ? (chunk.phrase.end ?? chunk.from) : 0; // the phrase itself has sounded
    for (const [start, duration, pitch, velocity, voice] of chunk.notes) {
      if (!isBefore(start, since)) this.play(start, duration, pitch, velocity, voice);
    }
    this.roll.add(chunk);
    this.roll.sharps = chunk.sharps;
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
    const when = this.origin + start;
    if (when < now) this.late += 1;
    if (this.origin + end <= now) return;
    for (const note of this.notes) {
      // The same key again: the string is struck anew.
      if (note.voice === voice && note.pitch === pitch) note.until = Math.min(note.until, start);
    }
    const sound = this.synth.begin(this.voices[voice], pitch, velocity, Math.max(when, now));
    this.notes.push({ sound, voice, pitch, velocity, start, end, until: Infinity, release: null });
    this.scheduled += 1;
    this.firstSound ??= (performance.now() - this.stage.clicked) / 1000 + when - this.synth.context.currentTime;
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
      note.release = this.releaseOf(note);
      if (note.release !== null) note.sound.release(Math.max(this.origin + note.release, this.synth.context.currentTime));
    }
  }

  /* When a note's sound begins to fade; null as long as that is not known. */
  releaseOf(note) {
    const changes = this.pedals.get(note.voice) ?? [];
    let { end } = note;
    if (changes.length && changes[0][0] <= end) {
      if (this.horizon <= end && !this.ended) return null; // the pedal at its end is not known yet
      if (changes.findLast(([at]) => at <= end)?.[1]) {
        end = changes.find(([at, down]) => at > end && !down)?.[0] ?? Infinity;
      }
    }
    end = Math.min(end, note.until);
    if (end < Infinity) return end;
    return this.ended ? Math.max(note.end, this.horizon) : null;
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

  /* The voices, each with its colour and the note it sings. */
  legend(voices) {
    const list = this.element.querySelector("ul");
    if (list.dataset.voices !== JSON.stringify(voices)) {
      list.dataset.voices = JSON.stringify(voices);
      list.replaceChildren(
        ...voices.map(({ name }, index) => {
          const item = document.createElement("li");
          item.style.setProperty("--voice", this.roll.variable(index));
          item.append(Object.assign(document.createElement("span"), { className: "name", textContent: name }));
          item.append(Object.assign(document.createElement("span"), { className: "note" }));
          return item;
        }),
      );
    }
    this.roll.onSounding = (sounding) => {
      [...list.children].forEach((item, index) => {
        const names = sounding.filter(([, , , , voice]) => voice === index).map(([, , pitch]) => noteName(pitch, this.roll.sharps));
        const text = names.slice(0, 3).join(" ");
        if (item.lastChild.textContent !== text) item.lastChild.textContent = text;
        item.classList.toggle("sounding", names.length > 0);
      });
    };
  }

  get report() {
    const { scheduled, latest, underruns, late, firstSound } = this;
    const clock = this.synth.context?.state ?? "none";
    const { level, sounding } = this.synth;
    const { sharps } = this.roll;
    const played = this.duet.report;
    return { scheduled, latest, underruns, late, firstSound, clock, level, sounding: sounding.size, sharps, ...played };
  }
}

function volumeSlider(synth) {
  const label = document.createElement("label");
  label.innerHTML = 'Volume <input type="range" min="0" max="1" step="0.01" value="0.8" aria-label="Volume">';
  const input = label.querySelector("input");
  input.addEventListener("input", () => synth.setVolume(Number(input.value)));
  return label;
}

export default mounts(Music);
