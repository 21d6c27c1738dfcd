import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Branches, compared } from "../../generator/web/static/branches.js";

const stored = new Map();
const global = /** @type {any} */ (globalThis);
global.sessionStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, text) => stored.set(key, text) };
global.document = { createElement: () => ({}) };

const view = { title: "Music", position: 0, words: String };
const stage = (more = {}) => /** @type {any} */ ({ view, state: "playing", live: {}, data: {}, asked: "start", origin: "o", ...more });
const played = (branches, asked, at, more = {}) => {
  Object.assign(branches.stage, { asked, origin: null, reason: null, ...more });
  branches.begin({ title: "bach, seed 1", at });
  Object.assign(branches.stage, { origin: `${asked} ${at}`, view: { ...view, position: at + 10 } });
  branches.tick();
};

beforeEach(() => stored.clear());

test("a step back and a choice begin a branch, a start does not hang on anything", () => {
  const branches = new Branches(stage());
  played(branches, "start", 0);
  played(branches, "back", 4);
  played(branches, "choose", 6, { reason: { about: "C5 for D5", at: 8 } });
  played(branches, "start", 0);
  deepEqual(branches.all.map(({ parent }) => parent), [null, 1, 2, null]);
  deepEqual(branches.all.map(({ name }) => name), ["bach, seed 1", "bach, seed 1 from 4", "C5 for D5", "bach, seed 1"]);
  deepEqual(branches.all.map(({ at, length }) => [at, length]), [[0, 10], [4, 14], [8, 16], [0, 10]]);
  branches.remove(branches.all[1]);
  deepEqual(branches.all.map(({ parent }) => parent), [null, 1, null]);
});

test("two branches are compared at the moment that is heard", () => {
  deepEqual(compared([], null, 1), []);
  deepEqual(compared([], 1, 1), []);
  deepEqual(compared([], 2, 1), [1, 2]);
  deepEqual(compared([1, 2], 2, 1), [1, 2]);
  deepEqual(compared([1, 2], 1, 3), [1, 3]);
  const asked = [];
  const branches = new Branches(stage({ wait: (...what) => asked.push(what), say: () => {} }));
  played(branches, "start", 0);
  played(branches, "back", 4);
  deepEqual(branches.pair, [1, 2]);
  branches.go(branches.all[0], branches.stage.view.position);
  deepEqual(asked, [["restore", { origin: "start 0", position: 14 }]]);
  played(branches, "restore", 14);
  deepEqual([branches.now, branches.pair], [1, [1, 2]]);
  played(branches, "back", 6);
  deepEqual([branches.now, branches.pair], [3, [1, 3]]);
});

test("a reload goes on with the branch that played, a link begins another one", () => {
  const before = new Branches(stage());
  played(before, "start", 0);
  before.close();
  const after = new Branches(stage({ asked: undefined, origin: "start 0" }));
  after.begin({ title: "bach, seed 1", at: 3 });
  equal(after.all.length, 1);
  const linked = new Branches(stage({ asked: undefined, origin: "another" }));
  linked.begin({ title: "folk, seed 2", at: 0 });
  equal(linked.all.length, 2);
});

test("there are never too many, and the one that plays is not forgotten", () => {
  const branches = new Branches(stage());
  for (let count = 0; count < 60; count++) played(branches, count % 3 ? "back" : "start", count);
  equal(branches.all.length, 24);
  equal(branches.current.at, 59);
  played(branches, "start", 0, { origin: null });
  branches.stage.origin = "x".repeat(300_000);
  branches.tick();
  equal(branches.current.origin, null);
});

test("their origins leave room for the take itself", () => {
  const branches = new Branches(stage());
  for (let count = 0; count < 12; count++) {
    played(branches, "start", count);
    branches.stage.origin = "x".repeat(190_000);
    branches.tick();
  }
  equal(branches.all.length, 6);
  equal(branches.current.length, 21);
});

test("storage that somebody wrote into is no harm", () => {
  const odd = { id: 3, parent: 3, name: "a", at: 0, length: 2, origin: null };
  for (const text of ["", "5", "null", "{}", '{"branches": [{}, 5, null, {"id": "1"}]}', JSON.stringify({ now: 9, branches: [odd, { ...odd, id: 2 }] })]) {
    stored.set("carousel-branches-Music", text);
    const branches = new Branches(stage({ asked: undefined }));
    branches.begin({ title: "bach", at: 0 });
    branches.tick();
    equal(branches.current.name, "bach");
    deepEqual(branches.all.map(({ parent }) => parent).filter(Boolean), []);
  }
});
