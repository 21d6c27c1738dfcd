import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Heard } from "../../generator/web/static/heard.js";
import { Queue } from "../../generator/web/static/queue.js";

let stage, music, now, asked;

beforeEach(() => {
  now = 0;
  asked = [];
  Object.defineProperty(globalThis, "performance", { value: { now: () => now }, configurable: true });
  stage = {
    state: "playing",
    live: { take: 1, title: "bach, seed 7" },
    data: { checkpoint: "bach" },
    origin: "an origin",
    trigger: (name, value) => asked.push([name, value.checkpoint]),
    play: () => asked.push(["play"]),
  };
  music = { stage, position: 0, unlock() {}, synth: { fade: (gain) => asked.push(["fade", gain]) } };
  stage.view = music;
});

/* A queue that is followed. */
function following(...entries) {
  const queue = new Queue(music, []);
  for (const [checkpoint, length] of entries) queue.add(checkpoint, length);
  queue.go(0);
  return queue;
}

/* Another checkpoint has taken over. */
function takeOver(queue, checkpoint) {
  stage.data.checkpoint = checkpoint;
  music.position = 0;
  queue.take({ at: 0 });
}

test("a piece ends, the next checkpoint takes over after a fade, and the queue goes round", () => {
  const queue = following(["bach", "piece"], ["folk", "3"]);
  queue.accept({ ends: [20, 60] });
  music.position = 19;
  queue.tick();
  deepEqual(asked, [["tune", "bach"]], "the first is here already, with another seed");
  music.position = 20.1;
  queue.tick();
  deepEqual(asked.at(-1), ["fade", 0]);
  now = 2600;
  queue.tick();
  deepEqual(asked.at(-1), ["tune", "folk"]);
  takeOver(queue, "folk");
  queue.accept({ ends: [20, 60] });
  music.position = 179;
  queue.tick();
  equal(queue.at, 1);
  music.position = 180;
  queue.tick();
  equal(queue.at, 0);
});

test("a checkpoint that does not come leaves the music as it was", () => {
  const queue = following(["folk", "piece"]);
  now = 2600;
  queue.tick();
  now = 30_000;
  queue.tick();
  deepEqual([queue.at, asked.at(-1)], [null, ["fade", 1]]);
});

test("who chooses another checkpoint leaves the queue", () => {
  const queue = following(["bach", "piece"], ["folk", "piece"]);
  takeOver(queue, "piano");
  equal(queue.at, null);
});

test("what is removed does not play", () => {
  const queue = following(["bach", "piece"], ["folk", "piece"], ["bach", "3"]);
  queue.at = 1;
  queue.remove(0);
  deepEqual([queue.at, queue.entries.length], [0, 2]);
  queue.remove(0);
  equal(queue.at, null);
});

test("what fades out comes back if nothing else takes over", () => {
  const queue = following(["folk", "piece"], ["bach", "piece"]);
  deepEqual(asked.at(-1), ["fade", 0]);
  queue.remove(0);
  deepEqual([queue.at, asked.at(-1)], [null, ["fade", 1]], "it was removed");
  now = 30_000;
  queue.tick();
  queue.add("folk", "piece");
  queue.go(1);
  queue.go(0);
  deepEqual(asked.slice(-2), [["fade", 1], ["tune", "bach"]], "and on to what plays already");
  now = 60_000;
  queue.tick();
  deepEqual(asked.at(-1), ["tune", "bach"], "which is asked for once");
  equal(asked.length, 5);
});

test("what a tab remembers may be anything", () => {
  for (const kept of [null, undefined, 3, "text", {}, [null, 3, {}, { checkpoint: 1, length: "piece" }, { checkpoint: "bach", length: "for ever" }]]) {
    equal(new Queue(music, kept).entries.length, 0);
    equal(new Heard(stage, kept).entries.length, 0);
  }
  const many = Array(100).fill({ checkpoint: "bach", length: "piece" });
  equal(new Queue(music, many).entries.length, 20);
  equal(new Heard(stage, [{ title: "a", begun: 1, seconds: 9, origin: { code: 1 } }]).entries.length, 0);
});

test("what was heard for a while is remembered, the latest first", () => {
  const heard = new Heard(stage, [{ title: "old", begun: 1, seconds: 9, origin: null }]);
  heard.begin({ title: "bach, seed 7", at: 0 });
  music.position = 12;
  heard.note();
  heard.begin({ title: "short", at: 0 });
  music.position = 1;
  heard.note();
  deepEqual(heard.entries.map(({ title, origin }) => [title, origin]), [["bach, seed 7", "an origin"], ["old", null]]);
  stage.origin = "x".repeat(30_000);
  music.position = 50;
  heard.note();
  equal(heard.entries[0].origin, null, "too long to be remembered");
});
