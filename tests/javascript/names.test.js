import { equal } from "node:assert/strict";
import { test } from "node:test";
import { noteName } from "../../generator/web/static/names.js";

test("notes are spelled after the key", () => {
  const scale = (sharps) => [60, 61, 63, 66, 68, 70].map((pitch) => noteName(pitch, sharps)).join(" ");
  equal(scale(0), "C4 C♯4 E♭4 F♯4 G♯4 B♭4");
  equal(scale(-5), "C4 D♭4 E♭4 G♭4 A♭4 B♭4");
  equal(scale(5), "B♯3 C♯4 D♯4 F♯4 G♯4 A♯4");
});

test("the octave is that of the letter", () => {
  equal(noteName(59, -7), "C♭4");
  equal(noteName(60, 7), "B♯3");
  equal(noteName(0, 0), "C-1");
});
