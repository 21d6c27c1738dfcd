// MIDI in: which messages are notes, the pedal, the clock, or nothing; and what panic ends.

import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { Midi } from "../../generator/web/static/midi.js";

/* A panel without its elements. */
function panel() {
  const heard = [];
  const note = (name) => (...what) => heard.push([name, ...what]);
  const midi = Object.create(Midi.prototype);
  Object.assign(midi, {
    duet: { press: note("press"), release: note("release"), sustain: note("sustain"), letGo: note("let go"), reset: note("reset") },
    follower: { hear: (data) => heard.push(["clock", ...data]) },
    output: { silence: note("silence") },
    music: { stage: { state: "playing", stop: note("stop") }, synth: { context: {}, silence: note("quiet") } },
  });
  return { midi, heard };
}

test("notes on any channel, the pedal and the clock are heard, and nothing else", () => {
  const { midi, heard } = panel();
  const messages = [[0x90, 60, 80], [0x95, 62, 1], [0x90, 60, 0], [0x83, 62, 64], [0xb0, 64, 127], [0xb0, 1, 9], [0xc0, 5], [0xe0, 0, 64], [0xf8], [0xfa]];
  messages.forEach((data, stamp) => midi.hear(data, stamp));
  deepEqual(heard, [
    ["press", 60, 80, 0],
    ["press", 62, 1, 1],
    ["release", 60, 2],
    ["release", 62, 3],
    ["sustain", 127, 4],
    ["clock", 0xf8],
    ["clock", 0xfa],
  ]);
});

test("panic ends everything, here and there", () => {
  const { midi, heard } = panel();
  midi.panic();
  deepEqual(heard.map(([name]) => name), ["let go", "reset", "stop", "quiet", "silence"]);
});

test("the port falls silent when the music stops, once", () => {
  const { midi, heard } = panel();
  midi.tick();
  midi.music.stage.state = "paused";
  midi.tick();
  midi.tick();
  deepEqual(heard, [["silence"]]);
});
