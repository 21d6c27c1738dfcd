// All that sounds, sent to a MIDI port a little ahead of its time, with the times of the page's clock.

import { Clock } from "./clock.js";
import { every } from "./every.js";
import { ALL_NOTES_OFF, ALL_SOUND_OFF, CONTROL, OFF, ON, PROGRAM, SUSTAIN } from "./messages.js";

const AHEAD = 0.1; // seconds; what is sent cannot be taken back
const PUMP_MS = 20;
const DRUMS = 9; // channel, from 0
const STEADY = 0.02; // how far the estimate of the clocks' distance follows a measurement
const JUMP_MS = 30; // beyond this it is taken over

/* Channels from 0: that of the drums, and the other ones in order, as in the MIDI files that Carousel writes. */
export function channels(voices) {
  let next = 0;
  return voices.map(({ drum }) => {
    if (drum) return DRUMS;
    if (next === DRUMS) next += 1;
    return next++ % 16;
  });
}

export class Output {
  constructor(music) {
    this.music = music;
    this.port = null;
    this.rest = null; // the function that ends the pumping
    this.clock = new Clock(this);
    this.sounding = new Map(); // note → when and where its beginning was sent, and whether its end was
    this.measured = 0; // how often the distance of the clocks was
    this.distance = 0; // milliseconds from the audio clock to the page's, as one hears it
  }

  /* Send to a port from now on, or to none. */
  use(port) {
    if (port === this.port) return;
    this.silence();
    this.port = port;
    this.programs();
    if (port) this.rest ??= every(PUMP_MS, () => this.pump());
    else this.close();
  }

  close() {
    this.silence();
    this.rest?.();
    this.rest = null;
  }

  /* With a new take. */
  begin(live) {
    this.clock.begin(live);
    this.programs();
  }

  add(chunk) {
    this.clock.tempo.add(chunk);
  }

  programs() {
    const { mix, voices } = this.music;
    channels(voices).forEach((channel, index) => this.write([PROGRAM | channel, mix.instrument(index).program]));
  }

  write(message, at) {
    try {
      this.port?.send(message, at);
    } catch {
      this.port = null; // it was unplugged; the list of ports says so
    }
  }

  /* A message of a voice, now. */
  send(status, voice, ...data) {
    const channel = channels(this.music.voices)[voice] ?? 0;
    this.write([status | channel, ...data]);
  }

  /* The page's time, in milliseconds, at which one hears what the audio clock has at some second. */
  moment(seconds) {
    return this.distance + 1000 * seconds;
  }

  /* The two clocks are read at slightly different times, and drift: their distance is the mean of many readings. */
  measure(context) {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    const read = performanceTime
      ? performanceTime - 1000 * contextTime
      : performance.now() - 1000 * (context.currentTime - (context.outputLatency || 0));
    if (Math.abs(read - this.distance) > JUMP_MS) this.measured = 0;
    this.measured += 1;
    this.distance += Math.max(STEADY, 1 / this.measured) * (read - this.distance);
  }

  /* Send what is due. */
  pump() {
    const { music, sounding } = this;
    const { context } = music.synth;
    if (!this.port || context?.state !== "running" || music.origin === null || music.stage.state !== "playing") return;
    this.measure(context);
    const now = context.currentTime;
    const notes = new Set(music.notes);
    for (const [note, sent] of sounding) {
      if (notes.has(note)) this.end(note, sent, now);
      else {
        if (!sent.ended) this.off(sent, Math.max(now, sent.at)); // it is not to sound after all
        sounding.delete(note);
      }
    }
    const numbers = channels(music.voices);
    for (const note of notes) {
      const at = music.timeOf(note.start);
      if (sounding.has(note) || at >= now + AHEAD || at < now - AHEAD) continue;
      if (!music.mix.level(note.voice)) continue;
      const sent = { at, ended: false, channel: numbers[note.voice], pitch: music.mix.pitch(note.voice, note.pitch) };
      sounding.set(note, sent);
      this.write([ON | sent.channel, sent.pitch, note.velocity], this.moment(at));
      this.end(note, sent, now);
    }
    if (this.clock.isSent) this.clock.pump(now);
  }

  /* Send a note's end, if it is due. */
  end(note, sent, now) {
    if (note.release === null || sent.ended) return;
    const at = Math.max(this.music.timeOf(note.release), sent.at);
    if (at < now + AHEAD) this.off(sent, at);
  }

  off(sent, at) {
    sent.ended = true;
    this.write([OFF | sent.channel, sent.pitch, 0], this.moment(at));
  }

  /* Nothing sounds any more, on any channel, also what was sent for a moment that is still to come. */
  silence() {
    this.clock.stop();
    for (const at of [performance.now(), performance.now() + 1000 * AHEAD + 5]) {
      for (const { channel, pitch } of this.sounding.values()) this.write([OFF | channel, pitch, 0], at);
      for (let channel = 0; channel < 16; channel++) {
        for (const control of [SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF]) this.write([CONTROL | channel, control, 0], at);
      }
    }
    this.sounding.clear();
  }
}
