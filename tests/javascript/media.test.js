// The system's players: what they are told, and what their buttons do.

import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";

let handlers, session, done, music;

beforeEach(() => {
  handlers = {};
  done = [];
  session = {
    metadata: null,
    playbackState: "none",
    setPositionState: () => {
      throw new TypeError("no music without end");
    },
    setActionHandler: (action, handler) => {
      if (action === "stop") throw new TypeError("an action that this browser does not know");
      handlers[action] = handler;
    },
  };
  const global = /** @type {any} */ (globalThis);
  Object.defineProperty(global, "navigator", { value: { mediaSession: session }, configurable: true });
  global.document = { addEventListener() {}, removeEventListener() {}, hidden: false };
  global.MediaMetadata = class {
    constructor(told) {
      Object.assign(this, told);
    }
  };
  global.Audio = class {
    constructor(src) {
      this.src = src;
    }
    play() {
      done.push("sound");
      return Promise.resolve();
    }
    pause() {
      done.push("silence");
    }
  };
  const stage = { state: "idle", live: null, play: () => done.push("play"), stop: () => done.push("stop"), back: () => done.push("back") };
  music = { stage, radio: { next: () => done.push("next") }, synth: { context: null } };
});

test("its buttons do what those of the page do, where that makes sense", async () => {
  const { Media } = await import("../../generator/web/static/media.js");
  new Media(music);
  handlers.pause();
  handlers.previoustrack();
  deepEqual(done, []);
  handlers.play();
  Object.assign(music.stage, { state: "playing", live: { title: "bach, seed 1" } });
  for (const action of ["play", "pause", "nexttrack", "previoustrack"]) handlers[action]();
  deepEqual(done, ["play", "play", "next", "back"]);
});

test("it is told what plays, once, and nothing after the page is left", async () => {
  const { Media } = await import("../../generator/web/static/media.js");
  const media = new Media(music);
  Object.assign(music.stage, { state: "playing", live: { title: "bach, seed 1" } });
  media.tick();
  media.tick();
  deepEqual([session.metadata.title, session.playbackState, done], ["bach, seed 1", "playing", ["sound"]]);
  music.stage.state = "paused";
  media.tick();
  deepEqual([session.playbackState, done], ["paused", ["sound", "silence"]]);
  media.close();
  deepEqual([session.metadata, session.playbackState, handlers.play], [null, "none", null]);
});

test("sound that was taken away comes back while it plays", async () => {
  const { Media } = await import("../../generator/web/static/media.js");
  const media = new Media(music);
  let resumed = 0;
  music.synth.context = { state: "interrupted", resume: () => Promise.resolve(resumed++) };
  media.wake();
  equal(resumed, 0);
  music.stage.state = "playing";
  media.wake();
  equal(resumed, 1);
  music.synth.context.state = "closed";
  media.wake();
  equal(resumed, 1);
});
