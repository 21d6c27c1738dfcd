// The MIDI clock: the music's own, sent to others, and another one, which the page follows as far as it can.

import { TempoMap } from "./tempo.js";

const PULSES = 24; // a quarter
const TO_A_SIXTEENTH = 6; // pulses; a song position counts sixteenths
const AHEAD = 0.1; // seconds
const [POSITION, PULSE, START, CONTINUE, STOP] = [0xf2, 0xf8, 0xfa, 0xfb, 0xfc];
const MEASURED = 2 * PULSES; // the pulses over which a tempo is measured
const GAP_MS = 500; // a clock that was silent for so long is measured anew
const ASK_MS = 2000; // between two wishes for a tempo

/* The clock that is sent. */
export class Clock {
  constructor(output) {
    this.output = output;
    this.isSent = false;
    this.begin();
  }

  begin(live = null) {
    this.tempo = new TempoMap(live?.before.tempos.at(-1)?.[1]);
    this.stop();
  }

  /* Send the pulses that are due. */
  pump(now) {
    const { output, tempo } = this;
    const { music } = output;
    const at = () => music.timeOf(tempo.seconds(this.pulse / PULSES));
    if (!this.runs) this.start(Math.max(0, tempo.quarters(music.positionAt(now))), at);
    else if (music.origin !== this.origin) this.pulse = Math.round(PULSES * tempo.quarters(music.positionAt(this.last))) + 1; // the music has moved
    this.origin = music.origin;
    for (; at() < now + AHEAD; this.pulse += 1) {
      this.last = at();
      output.write([PULSE], output.moment(this.last));
    }
  }

  /* The receivers begin with the next sixteenth: from their start if it is the first one. */
  start(quarters, at) {
    const sixteenth = Math.ceil((PULSES * quarters) / TO_A_SIXTEENTH);
    this.pulse = sixteenth * TO_A_SIXTEENTH;
    this.runs = true;
    const { output } = this;
    const moment = output.moment(at()) - 1;
    if (sixteenth) output.write([POSITION, sixteenth & 127, (sixteenth >> 7) & 127], moment);
    output.write([sixteenth ? CONTINUE : START], moment);
  }

  stop() {
    if (this.runs) this.output.write([STOP], performance.now() + 1000 * AHEAD);
    this.runs = false;
  }
}

/* Another clock, which is followed: its start and stop at once, its tempo as a wish, its beat not. */
export class Follower {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.isOn = false;
    this.said = (_tempo) => {};
    this.asked = 0; // the tempo that was asked for last
    this.askedAt = -Infinity;
    this.stamps = [];
  }

  hear([status], stamp) {
    const { stage } = this;
    if (!this.isOn) return;
    if (status === PULSE) this.measure(stamp);
    else if ((status === START || status === CONTINUE) && ["idle", "paused"].includes(stage.state)) stage.play();
    else if (status === STOP && stage.state === "playing") stage.play();
  }

  measure(stamp) {
    if (stamp - this.stamps.at(-1) > GAP_MS) this.stamps = [];
    this.stamps = [...this.stamps, stamp].slice(-MEASURED - 1);
    if (this.stamps.length <= MEASURED || stamp < this.askedAt + ASK_MS) return;
    const tempo = Math.round((60_000 * MEASURED) / PULSES / (stamp - this.stamps[0]));
    if (tempo === this.asked) return;
    this.asked = tempo;
    this.askedAt = stamp;
    if (this.stage.data.tempos) this.stage.trigger("tempo", tempo);
    this.said(tempo);
  }
}
