import { deepEqual, equal, ok } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Memory } from "../../generator/web/static/memory.js";

const KEPT = { title: "bach, seed 7", origin: "an origin", length: 12, take: 9 };

let stage, storage, asked, reloads, isConnected;

beforeEach(() => {
  storage = new Map();
  asked = [];
  reloads = 0;
  isConnected = true;
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
  define("sessionStorage", {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, value) => storage.set(key, value),
    removeItem: (key) => storage.delete(key),
  });
  define("location", { hash: "", pathname: "/", search: "", reload: () => (reloads += 1) });
  define("history", { replaceState() {} });
  define("document", { querySelector: () => ({ getAttribute: () => (isConnected ? "CONNECTED" : "CONNECTING") }) });
  stage = {
    state: "idle",
    root: { host: { isConnected: true } },
    data: { visitor: "token", kept: [KEPT] },
    view: { horizon: 20, position: 14, mayPlay: () => true },
    trigger: (name, value) => asked.push([name, value]),
    say: (text) => (stage.said = text),
    stop: (text) => (stage.said = `stop: ${text}`),
    show() {},
    join: (live) => (stage.live = live),
  };
});

/* A memory of a stage that plays. */
function playing() {
  const memory = new Memory(stage, "Music");
  Object.assign(stage, { state: "playing", live: { take: 3 }, origin: "the origin", goesOn: true });
  return memory;
}

test("what plays is remembered, and goes on after a reload", async () => {
  playing().save(true);
  stage.state = "idle";
  await new Memory(stage, "Music").recall();
  const [[name, value]] = asked;
  equal(name, "restore");
  deepEqual([value.origin, value.position, value.kept.length], ["the origin", 14, 1]);
  equal(stage.next, "playing");
  equal(storage.size, 0, "what cannot be drawn again is not tried for ever");
});

test("where the browser forbids sound it waits for a click", async () => {
  playing().save(true);
  Object.assign(stage, { state: "idle" });
  stage.view.mayPlay = () => false;
  await new Memory(stage, "Music").recall();
  equal(stage.next, "paused");
});

test("what was stopped stays stopped", async () => {
  const memory = playing();
  stage.state = "idle";
  memory.save(true);
  await new Memory(stage, "Music").recall();
  equal(asked.length, 0);
});

test("storage that is forbidden, full or damaged does no harm", async () => {
  const memory = playing();
  sessionStorage.setItem = () => {
    throw new Error("full");
  };
  memory.save(true);
  storage.set("carousel-Music", "{ not JSON");
  stage.state = "idle";
  await new Memory(stage, "Music").recall();
  equal(asked.length, 0);
});

test("a link that is broken says so", async () => {
  location.hash = "#take=broken";
  await new Memory(stage, "Music").recall();
  ok(/cut off or changed/.test(stage.said));
});

test("a take that the server has lost is drawn again behind what is here, with the kept ones", () => {
  const memory = playing();
  memory.recover(stage.data);
  const [[, value]] = asked;
  equal(value.origin, "the origin");
  ok(value.position > 19.9 && value.position < 20);
  deepEqual(value.kept, [{ title: KEPT.title, origin: KEPT.origin, length: KEPT.length }]);
  const before = stage.data;
  stage.data = { visitor: "another", kept: [], live: { take: 4, at: 19 } };
  ok(memory.update(before), "it is here again");
  deepEqual([memory.lost, stage.live.take, stage.said], [false, 4, ""]);
});

test("nothing is asked while the connection is down; after two asks in vain the page loads anew, but cuts nothing off", () => {
  const memory = playing();
  isConnected = false;
  memory.recover(stage.data);
  equal(asked.length, 0);
  isConnected = true;
  memory.ask();
  memory.ask();
  deepEqual([asked.length, reloads], [2, 0]);
  memory.ask();
  deepEqual([asked.length, reloads], [2, 0], "a server that has just begun is slow");
  memory.firstAskedAt = -1e6;
  memory.ask();
  deepEqual([asked.length, reloads], [2, 0], "what was drawn ahead still plays");
  stage.view.position = 19.8;
  memory.ask();
  deepEqual([asked.length, reloads], [2, 1]);
  Object.assign(stage, { state: "paused" });
  stage.view.position = 14;
  memory.ask();
  deepEqual([asked.length, reloads], [2, 2], "nothing sounds that a reload would cut off");
});

test("who presses Stop meanwhile is left alone", () => {
  const memory = playing();
  memory.recover(stage.data);
  memory.giveUp();
  memory.askedAt = -1e6;
  memory.tick();
  equal(asked.length, 1);
});

test("without an origin there is nothing to draw again", () => {
  const memory = playing();
  stage.origin = null;
  memory.recover(stage.data);
  ok(stage.said.startsWith("stop: "));
});
