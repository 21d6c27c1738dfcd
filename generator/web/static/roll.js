// A piano roll that moves with the audio clock: what was heard to the left of the play head, what is coming to its right.

import { colours } from "./colours.js";
import { noteName } from "./names.js";
import { scaleOf } from "./scale.js";
import { isBefore } from "./times.js";

const BLACK = new Set([1, 3, 6, 8, 10]);
export const GUTTER = 38; // pixels for the names of the octaves
const SPAN = 24; // semitones shown at least
const EASE = 0.04; // of the way to the new range, each frame
const STILL_MS = 200; // between two frames while nothing moves
const COMING = 0.42; // how opaque a note is that is still to come
const REACH = 7; // pixels around a note within which the pointer means it
const FADE_MS = 700; // for notes that will not come after all

export class Roll {
  constructor(canvas, position, hint) {
    this.canvas = canvas;
    this.position = position;
    this.hint = hint;
    this.style = getComputedStyle(canvas);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.sharps = 0; // of the key, by which notes are spelled; flats are negative
    this.onSounding = (_notes) => {};
    this.x = this.y = null; // where a second and a pitch are drawn, in pixels, since the last frame
    this.secondsAt = null; // the other way round
    this.row = 0; // the height of a semitone
    this.theme = this.shade = "";
    this.ink = this.gold = this.paper = (_alpha) => "";
    this.colours = [];
    this.reset();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    const frame = (now) => {
      this.request = requestAnimationFrame(frame);
      if (this.isDue(now)) this.draw();
    };
    this.request = requestAnimationFrame(frame);
  }

  /* Where nothing moves a few frames a second are enough, for another theme or size. */
  isDue(now) {
    const at = this.position();
    const moves = at !== this.drawnAt || this.eases || this.replaced.length || this.played.length;
    if (!moves && now - this.drawn < STILL_MS) return false;
    this.drawnAt = at;
    this.drawn = now;
    return true;
  }

  /* What was before is shown, as what was heard. */
  reset(live = null) {
    this.notes = []; // [start, duration, pitch, velocity, voice, the stream's own pitch, isPlayed], by start
    this.bars = []; // [seconds, number]
    this.ends = [];
    this.replaced = []; // notes that will not come after all, which fade
    this.played = []; // what the listener plays, a length of null as long as the key is down
    this.number = 0;
    this.range = null; // [low, high] as shown
    this.picked = null; // the note that was chosen to be looked at
    this.selected = null; // [from, until] of the bars that are selected
    this.begun = false;
    if (!live) return;
    this.number = live.bars;
    this.add(live.before);
  }

  colour(voice) {
    return this.colours[voice % this.colours.length];
  }

  /* Follow the theme of the page, which can change at any time. */
  look(context) {
    const found = colours(context, this.style);
    if (found.theme === this.theme) return;
    Object.assign(this, found);
    const section = this.canvas.closest("section");
    this.colours.forEach((colour, index) => section?.style.setProperty(`--voice-${index}`, colour));
  }

  add({ from, notes, bars, ends }) {
    this.begun = true;
    if (from !== undefined) this.takeBack(from, notes);
    this.notes.push(...notes);
    for (const at of bars) this.bars.push([at, ++this.number]);
    this.ends.push(...ends);
    const left = this.position() - 30;
    if (this.notes.length && this.notes[0][0] < left - 30) {
      this.notes = this.notes.filter(([start, duration]) => start + duration > left);
      this.bars = this.bars.filter(([at]) => at > left);
      this.ends = this.ends.filter((at) => at > left);
    }
  }

  /* What starts at a position or later fades; some notes before it come again, with other lengths. */
  takeBack(from, notes) {
    const key = ([start, , pitch, , voice]) => `${start} ${pitch} ${voice}`;
    const again = new Set(notes.map(key));
    this.replaced = this.notes.filter(([start]) => !isBefore(start, from));
    this.replacedAt = performance.now();
    this.notes = this.notes.filter((note) => isBefore(note[0], from) && !again.has(key(note)));
    const bars = this.bars.filter(([at]) => isBefore(at, from));
    this.number -= this.bars.length - bars.length;
    this.bars = bars;
    this.ends = this.ends.filter((at) => isBefore(at, from));
  }

  /* The notes in view that have begun. */
  notesInView() {
    return this.notes.filter(([start, duration]) => start <= this.position() && this.x?.(start + duration) > GUTTER);
  }

  /* The note at a point of the canvas, or the nearest one within a few pixels. */
  noteAt(left, top) {
    const distance = ([start, duration, pitch]) => {
      const across = Math.max(0, this.x(start) - left, left - this.x(start + duration));
      return Math.hypot(across, Math.max(0, Math.abs(this.y(pitch) + this.row / 2 - top) - this.row / 2));
    };
    const near = this.x ? this.notes.filter((note) => distance(note) < REACH) : [];
    return near.sort((a, b) => distance(a) - distance(b))[0];
  }

  /* Where the beginning of a note is on the canvas, as far as it is in view. */
  placeOf([start, , pitch]) {
    return { x: Math.max(GUTTER, Math.min(this.x(start), this.width)), y: this.y(pitch) + this.row / 2 };
  }

  close() {
    cancelAnimationFrame(this.request);
    this.observer.disconnect();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.width = clientWidth;
    this.height = clientHeight;
    this.ratio = ratio;
    this.drawn = 0; // the canvas is empty now
  }

  /* The range follows the notes in view, gently. */
  follow(seen) {
    const pitches = seen.map(([, , pitch]) => pitch);
    let [low, high] = pitches.length ? [Math.min(...pitches) - 3, Math.max(...pitches) + 3] : [48, 76];
    const missing = Math.max(0, SPAN - (high - low));
    [low, high] = [low - missing / 2, high + missing / 2];
    if (!this.range || (pitches.length && !this.settled)) this.range = [low, high];
    this.settled = pitches.length > 0;
    this.eases = Math.abs(low - this.range[0]) + Math.abs(high - this.range[1]) > 0.1;
    this.range = [this.range[0] + (low - this.range[0]) * EASE, this.range[1] + (high - this.range[1]) * EASE];
  }

  draw() {
    const { width, height } = this;
    const context = this.canvas.getContext("2d");
    this.look(context);
    if (!width || !height) return;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, width, height);

    const now = this.position();
    const { head, wide: perSecond } = scaleOf(width, now, this.still.matches);
    const x = (seconds) => head + (seconds - now) * perSecond;
    const from = now - (head - GUTTER) / perSecond;
    const played = this.played.map(([start, duration, ...rest]) => [start, duration ?? now - start, ...rest]);
    const seen = [...this.notes, ...played].filter(([start, duration]) => start + duration > from);
    this.follow(seen);
    const [low, high] = this.range;
    const row = height / (high - low + 1);
    const y = (pitch) => (high - pitch) * row;
    const secondsAt = (left) => now + (left - head) / perSecond;
    Object.assign(this, { x, y, row, secondsAt });

    this.drawKeys(context, low, high, row, y);
    if (!this.begun) return this.drawHint(context);
    this.drawBars(context, x, from);
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, width - GUTTER, height);
    context.clip();
    if (this.selected) this.drawSelected(context, this.selected.map(x));
    const block = ([start, duration, pitch, , voice, , isPlayed], alpha, margin = 0) => {
      const tall = Math.max(3, Math.min(row - 1, 15));
      const top = y(pitch) + (row - tall) / 2;
      const wide = Math.max(3, duration * perSecond - 1.5);
      context.fillStyle = this.colour(voice);
      context.globalAlpha = alpha;
      context.beginPath();
      context.roundRect(x(start) - margin, top - margin, wide + 2 * margin, tall + 2 * margin, Math.min(4, tall / 2) + margin);
      context.fill();
      if (!isPlayed || margin) return;
      context.strokeStyle = this.ink(0.95);
      context.lineWidth = 1.5;
      context.stroke();
    };
    const fading = 1 - (performance.now() - this.replacedAt) / FADE_MS;
    if (fading > 0) for (const note of this.replaced) block(note, COMING * fading ** 2);
    else this.replaced = [];
    const sounding = [];
    for (const note of seen) {
      const [start, duration] = note;
      const heard = start <= now && now < start + duration;
      if (heard) sounding.push(note);
      const fade = start > now ? COMING : Math.max(0.22, 0.85 - 0.6 * ((now - start - duration) * perSecond) / head);
      if (heard) [8, 5, 2].forEach((margin) => block(note, 0.1, margin)); // a glow; the canvas's own shadows are slow
      block(note, heard ? 1 : Math.min(0.85, fade));
    }
    context.globalAlpha = 1;
    if (seen.includes(this.picked)) this.drawPicked(context, x, y, row);
    this.drawHead(context, head, sounding, y, row);
    context.restore();
    this.onSounding(sounding);
  }

  drawKeys(context, low, high, row, y) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let pitch = Math.floor(low); pitch <= Math.ceil(high); pitch++) {
      if (BLACK.has(((pitch % 12) + 12) % 12)) {
        context.fillStyle = this.shade;
        context.fillRect(GUTTER, y(pitch), this.width - GUTTER, row);
      }
      if (pitch % 12 === 0) {
        context.fillStyle = this.ink(0.08);
        context.fillRect(GUTTER, Math.round(y(pitch) + row), this.width - GUTTER, 1);
        context.fillStyle = this.ink(0.65);
        context.fillText(`C${pitch / 12 - 1}`, 10, y(pitch) + row / 2);
      }
    }
  }

  drawHint(context) {
    context.font = `italic 18px ${this.style.getPropertyValue("--st-heading-font") || "serif"}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = this.ink(0.75);
    context.fillText(this.hint, this.width / 2, this.height / 2, this.width - 2 * GUTTER);
    context.textAlign = "start";
  }

  drawBars(context, x, from) {
    context.font = "10px system-ui, sans-serif";
    context.textBaseline = "top";
    for (const [at, number] of this.bars) {
      if (at < from) continue;
      context.fillStyle = this.ink(0.13);
      context.fillRect(Math.round(x(at)), 0, 1, this.height);
      context.fillStyle = this.ink(0.65);
      if (x(at) > GUTTER) context.fillText(String(number), x(at) + 5, 6);
    }
    context.fillStyle = this.gold(0.6);
    for (const at of this.ends) {
      if (at > from) context.fillRect(Math.round(x(at)) - 3, 0, 2, this.height);
    }
  }

  drawSelected(context, [left, right]) {
    context.fillStyle = context.strokeStyle = this.gold(0.16);
    context.fillRect(left, 0, right - left, this.height);
    context.strokeRect(left, 0, right - left, this.height);
  }

  drawPicked(context, x, y, row) {
    const [start, duration, pitch] = this.picked;
    const tall = Math.max(3, Math.min(row - 1, 15)) + 6;
    context.strokeStyle = this.ink(1);
    context.lineWidth = 2;
    context.strokeRect(x(start) - 3, y(pitch) + (row - tall) / 2, x(start + duration) - x(start) + 4.5, tall);
  }

  drawHead(context, head, sounding, y, row) {
    const glow = context.createLinearGradient(head - 26, 0, head, 0);
    glow.addColorStop(0, this.gold(0));
    glow.addColorStop(1, this.gold(0.12));
    context.fillStyle = glow;
    context.fillRect(head - 26, 0, 26, this.height);
    context.fillStyle = this.gold(0.9);
    context.fillRect(head - 0.75, 0, 1.5, this.height);
    context.font = "600 11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const [, , pitch, , voice] of sounding) {
      const name = noteName(pitch, this.sharps);
      const wide = context.measureText(name).width + 10;
      const middle = y(pitch) + row / 2;
      context.fillStyle = this.paper(0.88);
      context.beginPath();
      context.roundRect(head + 6, middle - 8, wide, 16, 5);
      context.fill();
      context.fillStyle = this.colour(voice);
      context.fillText(name, head + 11, middle + 0.5);
    }
  }
}
