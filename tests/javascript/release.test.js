import { equal } from "node:assert/strict";
import { test } from "node:test";
import { releaseOf } from "../../generator/web/static/release.js";

const note = (end, until = Infinity) => ({ end, until });

test("without a pedal a note ends where its key comes up", () => {
  equal(releaseOf(note(2), [], 1, false), 2);
  equal(releaseOf(note(2), [[3, true]], 1, false), 2, "a pedal that goes down later holds nothing");
});

test("the pedal holds it until it comes up, or its key is struck again", () => {
  const pedals = [[1, true], [5, false], [6, true]];
  equal(releaseOf(note(2), pedals, 9, false), 5);
  equal(releaseOf(note(2, 4), pedals, 9, false), 4);
  equal(releaseOf(note(5.5), pedals, 9, false), 5.5, "it is up there");
});

test("what is not known yet is awaited", () => {
  equal(releaseOf(note(2), [[1, false]], 2, false), null, "the pedal may go down at its end");
  equal(releaseOf(note(2), [[1, true]], 9, false), null, "the pedal may come up any time");
  equal(releaseOf(note(2), [[1, true]], 9, true), 9, "at the end of the piece nothing comes any more");
});
