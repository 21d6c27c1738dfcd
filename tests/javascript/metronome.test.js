// The metronome: it clicks where it is wanted, once, and never late.

import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Metronome } from "../../generator/web/static/metronome.js";

let music, metronome, clicked;

beforeEach(() => {
  clicked = [];
  music = {
    origin: 0,
    stopped: null,
    timeOf: (position) => position,
    mix: { metronome: true },
    synth: { context: { currentTime: 0 } },
  };
  metronome = new Metronome(music);
  metronome.click = (when, kind) => clicked.push([when, kind]);
});

test("beats click a little ahead, the first of a bar with another tone, and each of them once", () => {
  metronome.accept({ beats: [[0, true], [0.5, false], [1, false]] });
  metronome.tick();
  metronome.tick();
  deepEqual(clicked, [[0, 1]]);
  music.synth.context.currentTime = 0.7;
  metronome.tick();
  deepEqual(clicked, [[0, 1], [1, 0]], "what is over is passed in silence");
  equal(metronome.beats.length, 0);
});

test("beats in the place of others replace them", () => {
  metronome.accept({ beats: [[0, true], [1, false], [2, false]] });
  metronome.accept({ from: 1, beats: [[1.5, true]] });
  deepEqual(metronome.beats, [[0, true], [1.5, true]]);
});

test("it is silent when it is off, before a start and after a stop, and begins anew with a take", () => {
  metronome.accept({ beats: [[0, true], [0.1, false]] });
  music.mix.metronome = false;
  metronome.tick();
  deepEqual(clicked, []);
  for (const change of [{ origin: null }, { origin: 0, stopped: 3 }]) {
    Object.assign(music, change, { mix: { metronome: true } });
    metronome.accept({ beats: [[0.2, true]] });
    metronome.tick();
    deepEqual(clicked, []);
  }
  metronome.begin();
  equal(metronome.beats.length, 0);
});
