import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Mix } from "../../generator/web/static/mix.js";

const VOICES = [{ name: "Soprano", program: 68, drum: false }, { name: "Bass", program: 70, drum: false }, { name: "Kit", program: 0, drum: true }];

let stored;

beforeEach(() => {
  stored = null;
  const localStorage = { getItem: () => stored, setItem: (_key, text) => (stored = text) };
  Object.defineProperty(globalThis, "localStorage", { value: localStorage, configurable: true });
});

/* The mix of a checkpoint. */
function opened(name = "bach") {
  const mix = new Mix();
  mix.open(name, VOICES);
  return mix;
}

test("each checkpoint's mix is remembered", () => {
  const mix = opened();
  Object.assign(mix.voices[1], { program: 42, volume: 0.5, muted: true });
  mix.transpose = -3;
  mix.save();
  const again = opened();
  deepEqual([again.voices, again.transpose], [mix.voices, -3]);
  deepEqual(again.instruments, { Bass: 42 });
  equal(opened("folk").transpose, 0);
  again.reset();
  deepEqual([again.transpose, again.instruments, opened().transpose], [0, {}, 0]);
});

test("only so many checkpoints are remembered, the latest of them", () => {
  for (let number = 0; number < 40; number++) opened(`checkpoint ${number}`).save();
  const names = Object.keys(JSON.parse(stored));
  deepEqual([names.length, names.at(-1)], [24, "checkpoint 39"]);
});

test("what is stored may be anything", () => {
  const usual = JSON.stringify(opened());
  const hostile = [
    "", "{", "null", "[]", '"text"', "7", '{"bach": null}', '{"bach": [1]}', '{"bach": {"voices": 3, "transpose": "12", "rate": 1e9}}',
    '{"bach": {"voices": [{"program": 128}, {"program": 1.5, "volume": -1}, {"volume": null, "muted": "yes"}], "transpose": 99}}',
    '{"bach": {"voices": [{}]}, "__proto__": {"transpose": 5}}',
    `{"bach": {"transpose": 5}, "long": {"text": "${"x".repeat(100_000)}"}}`,
  ];
  for (stored of hostile) equal(JSON.stringify(opened()), usual, stored.slice(0, 80));
});

test("no storage is no obstacle", () => {
  const forbidden = () => {
    throw new Error("forbidden");
  };
  Object.defineProperty(globalThis, "localStorage", { get: forbidden, configurable: true });
  opened().save();
});

test("a voice alone silences the others, and muted is muted", () => {
  const mix = opened();
  const levels = () => VOICES.map((_, voice) => mix.level(voice));
  mix.voices[0].volume = 0.5;
  deepEqual(levels(), [0.25, 1, 1]);
  mix.voices[1].solo = true;
  deepEqual(levels(), [0, 1, 0]);
  mix.voices[1].muted = true;
  deepEqual(levels(), [0, 0, 0]);
});

test("transposition moves pitches and keys, but no drums and nothing out of range", () => {
  const mix = opened();
  mix.transpose = 7;
  deepEqual(mix.notes([[0, 1, 60, 80, 0], [0, 1, 36, 80, 2], [0, 1, 125, 80, 1]]), [
    [0, 1, 67, 80, 0, 60, undefined],
    [0, 1, 36, 80, 2, 36, undefined],
    [0, 1, 125, 80, 1, 125, undefined],
  ]);
  for (const [voice, own] of [[0, 60], [2, 36], [1, 110]]) deepEqual(mix.ownPitch(voice, mix.pitch(voice, own)), own);
  deepEqual([mix.sharps(0), mix.sharps(5), mix.sharps(-5)], [1, 6, -4]);
});
