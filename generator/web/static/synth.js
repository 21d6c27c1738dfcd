// Notes as sound: soundfont zones played by AudioBufferSourceNodes, each scheduled against the audio clock.
//
// A level between 0 and 1 is decibels, 1 full and 0 a hundred below, so a fall in level is an exponential in gain.

import { instrument } from "./server.js";

const FLOOR = 1e-5; // 100 dB below full
const CUT_SECONDS = 0.05; // for that fall, where a tone is cut off
const HOUR_SECONDS = 3600;
const PERMISSION_MS = 500; // a browser that allows sound says so within this time
const ROOM = 0.16; // share of reverberation
const ROOM_SECONDS = 1.8;

const decibels = (level) => 10 ** ((level - 1) * 5);

export class Synth {
  constructor() {
    this.context = null;
    this.instruments = new Map(); // by program and kind: its zones, once they are here
    this.sounding = new Set();
    this.volume = 0.8;
    this.isMuted = false;
    this.exclusive = new Map(); // class → the tone that the next one of its class cuts off
  }

  /* Fetch the samples of these voices, unless they are here. */
  load(voices) {
    return Promise.all(voices.map(({ program, drum }) => this.zones(program, drum)));
  }

  zones(program, drum) {
    const key = `${program} ${drum}`;
    if (!this.instruments.has(key)) {
      const loading = fetchZones(program, drum);
      const instrument = { loading, zones: [] };
      loading.then((zones) => (instrument.zones = zones), () => this.instruments.delete(key));
      this.instruments.set(key, instrument);
    }
    return this.instruments.get(key).loading;
  }

  /* Browsers allow sound only from a click on. */
  unlock() {
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    if (!this.bus) this.connect();
  }

  /* Without a click a browser may keep the clock from running; then it says nothing at all. */
  async mayPlay() {
    await Promise.race([this.context.resume(), new Promise((resolve) => setTimeout(resolve, PERMISSION_MS))]);
    return this.context.state === "running";
  }

  connect() {
    const { context } = this;
    const limiter = new DynamicsCompressorNode(context, { threshold: -9, knee: 9, ratio: 12, attack: 0.002, release: 0.2 });
    const room = new ConvolverNode(context, { buffer: impulse(context) });
    const wet = new GainNode(context, { gain: ROOM });
    this.bus = new GainNode(context, { gain: this.gain });
    this.meter = new AnalyserNode(context, { fftSize: 2048 });
    this.bus.connect(limiter).connect(this.meter).connect(context.destination);
    this.bus.connect(room).connect(wet).connect(limiter);
  }

  /* The loudest of the last 2048 samples that went out, 1 being full scale. */
  get level() {
    if (!this.bus) return 0;
    const samples = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(samples);
    return samples.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0);
  }

  get gain() {
    return this.isMuted ? 0 : this.volume;
  }

  setVolume(volume) {
    this.volume = volume;
    this.bus?.gain.setTargetAtTime(this.gain, this.context.currentTime, 0.02);
  }

  mute(isMuted) {
    this.isMuted = isMuted;
    this.setVolume(this.volume);
  }

  /* Begin a note at a time of the audio clock; it sounds until `release` is called on what is returned. */
  begin({ program, drum }, pitch, velocity, when) {
    const zones = this.instruments.get(`${program} ${drum}`)?.zones ?? [];
    const tones = zones
      .filter((zone) => zone.low_pitch <= pitch && pitch <= zone.high_pitch)
      .filter((zone) => zone.low_velocity <= velocity && velocity <= zone.high_velocity)
      .map((zone) => new Tone(this, zone, pitch, velocity, when));
    for (const tone of tones.filter(({ zone }) => zone.exclusive_class)) {
      // An open hi-hat ends when the closed one is struck.
      const key = `${program} ${drum} ${tone.zone.exclusive_class}`;
      this.exclusive.get(key)?.fall(when, CUT_SECONDS);
      this.exclusive.set(key, tone);
    }
    return {
      release: (at) => tones.forEach((tone) => tone.release(at)),
      hold: () => tones.forEach((tone) => tone.hold()), // it was released too early
      cancel: () => tones.forEach((tone) => tone.cancel()), // it is not to sound after all
    };
  }

  /* Everything stops, also what has not begun. */
  silence() {
    if (!this.bus) return;
    const { bus, context } = this;
    bus.gain.setTargetAtTime(0, context.currentTime, 0.02);
    for (const tone of this.sounding) tone.source.stop(context.currentTime + 0.15);
    setTimeout(() => bus.disconnect(), 300);
    this.connect();
  }
}

class Tone {
  constructor(synth, zone, pitch, velocity, when) {
    const { context, bus, sounding } = synth;
    const source = new AudioBufferSourceNode(context, { buffer: zone.buffer });
    source.playbackRate.value = 2 ** ((pitch * zone.cents_per_key - zone.root_cents) / 1200);
    if (zone.loop) {
      source.loop = true;
      [source.loopStart, source.loopEnd] = zone.loop.map((frame) => frame / zone.buffer.sampleRate);
    }
    const peak = zone.gain * (velocity / 127) ** 2;
    const level = new GainNode(context, { gain: 0 });
    envelope(level.gain, zone.volume, when, (value) => peak * decibels(value));
    this.synth = synth;
    this.when = when;
    this.key = new GainNode(context);
    this.zone = zone;
    this.source = source;
    this.fallen = Infinity;
    const path = [source, ...filters(context, zone, when), level, this.key, new StereoPannerNode(context, { pan: zone.pan }), bus];
    path.reduce((from, to) => from.connect(to));
    sounding.add(this);
    source.onended = () => {
      sounding.delete(this);
      path.at(-2).disconnect();
    };
    source.start(when);
  }

  /* The key is let go: the level falls by 100 dB in `release` seconds, from wherever it is. */
  release(at) {
    this.fall(at, this.zone.volume.release);
  }

  hold() {
    const { currentTime } = this.synth.context;
    if (this.fallen <= currentTime) return;
    this.fallen = Infinity;
    this.key.gain.cancelScheduledValues(currentTime);
    this.source.stop(currentTime + HOUR_SECONDS); // a stop can be moved, but not taken back
  }

  cancel() {
    const { currentTime } = this.synth.context;
    if (this.when > currentTime) this.source.stop();
    else this.fall(currentTime, CUT_SECONDS);
  }

  fall(at, release) {
    if (at >= this.fallen) return;
    this.fallen = at;
    const seconds = Math.max(0.01, release);
    this.key.gain.cancelScheduledValues(at);
    this.key.gain.setValueAtTime(1, at);
    this.key.gain.exponentialRampToValueAtTime(FLOOR, at + seconds);
    this.source.stop(at + seconds);
  }
}

/* Delay, attack, hold, decay, sustain on an AudioParam; `scale` turns a level into the parameter's value. */
function envelope(param, { delay, attack, hold, decay, sustain }, when, scale) {
  const top = when + delay + attack;
  param.setValueAtTime(0, when + delay);
  param.linearRampToValueAtTime(scale(1), top);
  param.setValueAtTime(scale(1), top + hold);
  if (sustain < 1) param.exponentialRampToValueAtTime(scale(sustain), top + hold + Math.max(0.001, decay * (1 - sustain)));
}

function filters(context, zone, when) {
  if (zone.filter_hertz > 12000 && zone.filter_envelope_cents >= 0) return [];
  // The resonance counts from the flat response's 3 dB below its corner.
  const filter = new BiquadFilterNode(context, { type: "lowpass", frequency: zone.filter_hertz, Q: zone.filter_q_db - 3.01 });
  const { delay, attack, hold, decay, sustain } = zone.filter_envelope;
  if (zone.filter_envelope_cents) {
    const top = when + delay + attack;
    const cents = zone.filter_envelope_cents;
    filter.detune.setValueAtTime(0, when + delay);
    filter.detune.linearRampToValueAtTime(cents, top);
    filter.detune.setValueAtTime(cents, top + hold);
    if (sustain < 1) filter.detune.linearRampToValueAtTime(cents * sustain, top + hold + Math.max(0.001, decay * (1 - sustain)));
  }
  return [filter];
}

/* Four bytes, the length of a JSON list of zones; the list; then 16-bit samples, little-endian. */
async function fetchZones(program, drum) {
  const answer = await instrument(program, drum);
  if (!answer.ok) throw new Error(`no samples for program ${program}`);
  const data = await answer.arrayBuffer();
  const size = new DataView(data).getUint32(0, true);
  const zones = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  const buffers = new Map();
  for (const zone of zones) {
    const key = `${zone.offset} ${zone.frames}`;
    if (!buffers.has(key)) {
      const samples = new Int16Array(data, 4 + size + zone.offset, zone.frames);
      const buffer = new AudioBuffer({ length: zone.frames, numberOfChannels: 1, sampleRate: zone.sample_rate });
      buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
      buffers.set(key, buffer);
    }
    zone.buffer = buffers.get(key);
  }
  return zones;
}

/* A small hall: noise that dies away, darker as it does. */
function impulse(context) {
  const frames = Math.round(ROOM_SECONDS * context.sampleRate);
  const buffer = new AudioBuffer({ length: frames, numberOfChannels: 2, sampleRate: context.sampleRate });
  for (const channel of [0, 1]) {
    const samples = buffer.getChannelData(channel);
    let smooth = 0;
    for (let index = 0; index < frames; index++) {
      const along = index / frames;
      smooth += (Math.random() * 2 - 1 - smooth) * (0.6 - 0.5 * along);
      samples[index] = smooth * (1 - along) * 10 ** (-2.4 * along);
    }
  }
  return buffer;
}
