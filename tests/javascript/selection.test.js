// Bars are selected from one to another, forwards and backwards, by moments and by steps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { barAt, barsOf, extent, step } from "../../generator/web/static/selection.js";

const bars = barsOf([2, 4, 6, 9, 11]);

test("a bar is known when the next one has begun", () => {
  assert.deepEqual(bars, [[2, 4], [4, 6], [6, 9], [9, 11]]);
  assert.deepEqual(barsOf([2]), []);
  assert.deepEqual(barsOf([]), []);
});

test("a moment is in a bar, or beside all of them", () => {
  assert.deepEqual([0, 2, 3.99, 4, 10.9, 50].map((moment) => barAt(bars, moment)), [0, 0, 0, 1, 3, 3]);
  assert.equal(barAt([], 1), -1);
});

test("a selection has whole bars, in whichever direction it was made", () => {
  assert.deepEqual(extent(bars, { anchor: 3, focus: 7 }), [2, 9]);
  assert.deepEqual(extent(bars, { anchor: 7, focus: 3 }), [2, 9]);
  assert.deepEqual(extent(bars, { anchor: 5, focus: 5 }), [4, 6]);
  assert.equal(extent([], { anchor: 5, focus: 5 }), null);
  assert.equal(extent(bars, null), null);
});

test("steps begin with the last bar that was heard, and stay among what is known", () => {
  let selection = step(bars, null, -1, 9.5);
  assert.deepEqual(extent(bars, selection), [6, 9]);
  selection = step(bars, selection, -1, 9.5);
  assert.deepEqual(extent(bars, selection), [4, 9]);
  for (let count = 0; count < 9; count++) selection = step(bars, selection, -1, 9.5);
  assert.deepEqual(extent(bars, selection), [2, 9]);
  for (let count = 0; count < 9; count++) selection = step(bars, selection, 1, 9.5);
  assert.deepEqual(extent(bars, selection), [6, 11]);
  assert.equal(step([], null, 1, 9), null);
  assert.deepEqual(extent(bars, step(bars, null, 1, 0)), [2, 4]);
});
