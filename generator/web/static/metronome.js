// A metronome: a click on each beat, the first of a bar higher. It clicks from the clock of the sound.

import { isBefore } from "./times.js";

const AHEAD = 0.4; // seconds by which clicks are scheduled
const CLICK_SECONDS = 0.04;
const HERTZ = [1100, 1760];
const LOUDNESS = [0.16, 0.28];

export class Metronome {
  constructor(music) {
    this.music = music;
    this.begin();
  }

  begin() {
    this.beats = []; // [position, whether it is the first of its bar], those that have not been scheduled
    this.clicks = 0;
  }

  accept({ from, beats }) {
    if (from !== undefined) this.beats = this.beats.filter(([at]) => isBefore(at, from));
    this.beats.push(...beats);
  }

  tick() {
    const { music } = this;
    if (music.origin === null || music.stopped !== null) return;
    const { context } = music.synth;
    while (this.beats.length && music.timeOf(this.beats[0][0]) < context.currentTime + AHEAD) {
      const [at, isFirst] = this.beats.shift();
      if (music.mix.metronome && music.timeOf(at) >= context.currentTime) this.click(music.timeOf(at), Number(isFirst));
    }
  }

  click(when, kind) {
    const { context, bus } = this.music.synth;
    const tone = new OscillatorNode(context, { frequency: HERTZ[kind], type: "triangle" });
    const level = new GainNode(context, { gain: LOUDNESS[kind] });
    level.gain.setValueAtTime(LOUDNESS[kind], when);
    level.gain.exponentialRampToValueAtTime(1e-3, when + CLICK_SECONDS);
    tone.connect(level).connect(bus);
    tone.onended = () => level.disconnect();
    tone.start(when);
    tone.stop(when + CLICK_SECONDS);
    this.clicks += 1;
  }
}
