// The queue of the radio: which checkpoint plays how long. It goes round.

import { isBefore } from "./times.js";

/** How long an entry plays: the end of a piece, or so many minutes. */
export const LENGTHS = new Map([["piece", "one piece"], ["3", "3 minutes"], ["10", "10 minutes"], ["30", "30 minutes"]]);
const MOST = 20;
const FADE_SECONDS = 2.5;
const PATIENCE_MS = 20_000; // for another checkpoint to take over

export class Queue {
  constructor(music, entries) {
    this.music = music;
    this.stage = music.stage;
    const isEntry = (entry) => typeof entry?.checkpoint === "string" && LENGTHS.has(entry.length);
    this.entries = (Array.isArray(entries) ? entries : []).filter(isEntry).slice(0, MOST);
    this.at = null; // the entry that plays; null if the queue is not followed
    this.awaited = null; // {until: when to give up} while it does not play yet
    this.leaving = null; // when what fades out is over, and the next checkpoint is asked for
    this.isFaded = false;
  }

  add(checkpoint, length) {
    if (this.entries.length < MOST) this.entries.push({ checkpoint, length });
  }

  remove(index) {
    this.entries.splice(index, 1);
    if (index === this.at) this.giveUp();
    else if (this.at > index) this.at -= 1;
  }

  get next() {
    return this.at === null ? 0 : (this.at + 1) % this.entries.length;
  }

  /* Go to an entry. What plays fades out first, unless it goes on with the same checkpoint. */
  go(index) {
    const { stage, music } = this;
    const { checkpoint } = this.entries[index];
    this.at = index;
    this.awaited = { until: performance.now() + PATIENCE_MS };
    if (stage.data.checkpoint === checkpoint) {
      this.comeBack();
      if (stage.state === "idle") stage.play();
      else {
        stage.trigger("tune", { checkpoint });
        if (stage.state === "paused") stage.play();
        this.begin(music.position);
      }
      return;
    }
    if (stage.state === "idle") {
      music.unlock(); // as long as there is the click that allows it
      stage.trigger("tune", { checkpoint });
    } else {
      music.synth.fade(0, FADE_SECONDS);
      this.leaving = performance.now() + 1000 * FADE_SECONDS;
      this.isFaded = true;
    }
  }

  /* The entry plays from a position on. */
  begin(position) {
    this.awaited = null;
    this.since = position;
    this.ends = [];
  }

  /* A take begins: the one that was waited for, or what the listener has chosen instead. */
  take(live) {
    this.leaving = null;
    this.isFaded = false; // it sounds from a new output
    if (this.at === null) return;
    const isOurs = this.stage.data.checkpoint === this.entries[this.at].checkpoint;
    if (!isOurs) this.at = null;
    else if (this.awaited) this.begin(live.at);
    else this.since = Math.min(this.since, live.at);
  }

  accept({ from = Infinity, ends }) {
    if (this.at !== null && !this.awaited) this.ends = [...this.ends.filter((at) => isBefore(at, from)), ...ends];
  }

  tick() {
    const { stage, music } = this;
    if (this.at === null) return;
    const { checkpoint, length } = this.entries[this.at];
    if (this.leaving && performance.now() > this.leaving) {
      this.leaving = null;
      stage.trigger("tune", { checkpoint });
    }
    if (this.awaited) {
      if (stage.state === "idle" && stage.data.checkpoint === checkpoint && !this.leaving) stage.play();
      else if (performance.now() > this.awaited.until) this.giveUp();
      return;
    }
    if (stage.state !== "playing") return;
    const { position } = music;
    const isOver = length === "piece" ? this.ends.some((at) => at > this.since && at <= position) : position - this.since >= 60 * Number(length);
    if (isOver) this.go(this.next);
  }

  giveUp() {
    this.at = null;
    this.awaited = null;
    this.comeBack();
  }

  /* What plays is not left after all. */
  comeBack() {
    this.leaving = null;
    if (this.isFaded) this.music.synth.fade(1, 1);
    this.isFaded = false;
  }
}
