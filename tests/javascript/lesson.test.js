import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { HOLDABLE, read } from "../../generator/web/static/clamps.js";
import { verdictOf } from "../../generator/web/static/lesson.js";

const lessons = JSON.parse(readFileSync(new URL("../../generator/web/static/lessons.json", import.meta.url), "utf-8"));

test("a step shows the layer and the unit that it holds, at a value that the slider has", () => {
  for (const { steps } of Object.values(lessons)) {
    for (const { show, clamp, then, choices, right } of steps) {
      assert.ok(choices[right]);
      assert.equal(Boolean(then), !clamp);
      for (const { part, layer, unit, value } of read(clamp)) {
        const { low, high } = HOLDABLE.get(part);
        assert.deepEqual([show.layer, show.unit ?? null], [layer, unit]);
        assert.ok(low <= value && value <= high);
      }
    }
  }
});

test("what was expected, and whether it was so", () => {
  assert.equal(verdictOf(["more", "fewer"], 1, 1), "You expected: fewer. That was right.");
  assert.equal(verdictOf(["more", "fewer"], 0, 1), "You expected: more. It was otherwise.");
});
