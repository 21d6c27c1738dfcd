import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { graphemes, typable } from "../../generator/web/static/graphemes.js";

test("no grapheme is ever cut, however the text arrives, and all of it is typed", () => {
  const alphabet = ["a", "e", "\u0301", "\u0308", "ש", "\u05b8", "\n", "👩", "\u200d", "👧"];
  const text = Array.from({ length: 3000 }, (_, at) => alphabet[(at * at * 7 + (at >> 3)) % alphabet.length]);
  const cuts = new Set(graphemes(text.join("")).map(({ index }) => index));
  const typed = [];
  let due = 0;
  for (let arrived = 1; typed.length < text.length; arrived = Math.min(arrived + 5, text.length)) {
    const here = text.slice(typed.length, arrived);
    due = Math.min(due + 4, here.length + 1);
    const count = typable(here, due, arrived === text.length);
    typed.push(...here.slice(0, count));
    due -= count;
    ok(cuts.has(typed.join("").length) || typed.length === text.length);
  }
  deepEqual(typed, text);
});

test("a letter waits for its accent, unless the text has ended", () => {
  equal(typable(["a", "e"], 2, false), 1);
  equal(typable(["a", "e"], 2, true), 2);
  equal(typable(["a", "e", "\u0301", "b"], 2, false), 1);
  equal(typable(["a", "e", "\u0301", "b"], 3, false), 3);
  equal(typable([], 3, true), 0);
  equal(typable(["e", ...Array(100).fill("\u0301")], 101, false), 101); // nobody waits for ever
});
