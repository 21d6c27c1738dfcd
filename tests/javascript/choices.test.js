// From one thing of a view to the next by keys, and what was typed as blocks of characters.

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { blocksOf } from "../../generator/web/static/characters.js";
import { isStep, neighbour } from "../../generator/web/static/choices.js";

test("left and right are steps, nothing else is", () => {
  deepEqual(["ArrowLeft", "ArrowRight", "ArrowUp", "Enter", "a", ""].map(isStep), [true, true, false, false, false, false]);
});

test("a step goes to the neighbour, stays at the edges, and begins with the last one", () => {
  const things = ["a", "b", "c"];
  equal(neighbour(things, 1, "ArrowLeft"), "a");
  equal(neighbour(things, 1, "ArrowRight"), "c");
  equal(neighbour(things, 0, "ArrowLeft"), "a");
  equal(neighbour(things, 2, "ArrowRight"), "c");
  equal(neighbour(things, -1, "ArrowLeft"), "c");
  equal(neighbour([], -1, "ArrowRight"), null);
});

const page = (...blocks) => ({ children: blocks.map(([data, className = ""]) => ({ className, firstChild: { data } })) });

test("blocks know their positions, in code points, with a line's end between two", () => {
  const found = blocksOf({ position: 9, page: page(["to be", "primer"], ["ab𝄞"], ["né", ""], ["xy"]) });
  deepEqual(found.map(({ position, length }) => [position, length]), [[0, 3], [4, 2], [7, 2]]);
});

test("nothing was typed yet, or only the primer is there", () => {
  deepEqual(blocksOf({ position: 0, page: page() }), []);
  deepEqual(blocksOf({ position: 0, page: page(["or not", "primer"]) }), []);
});
