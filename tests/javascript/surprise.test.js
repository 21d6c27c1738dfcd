// Surprise: what the server is asked for, and which characters get which tint.

import { deepEqual, equal } from "node:assert/strict";
import { beforeEach, test } from "node:test";

const global = /** @type {any} */ (globalThis);
global.document = { createElement: () => ({}) };
const { Surprise } = await import("../../generator/web/static/surprise.js");

let asked, answer, stage, view;

beforeEach(() => {
  asked = [];
  answer = ({ since, until }) => new Response(JSON.stringify(Array(until - since).fill(0.1)));
  global.fetch = (_, { body }) => {
    asked.push(JSON.parse(body));
    return Promise.resolve(answer(asked.at(-1)));
  };
  const node = { data: "abcdef" };
  view = { position: 6, horizon: 10, page: { children: [{ className: "", firstChild: node }] } };
  stage = { data: { visitor: "v" }, live: { take: 3 }, goesOn: true };
});

test("each character is asked for once, from the first that is on the page", async () => {
  const surprise = new Surprise(stage, view);
  await surprise.ask();
  await surprise.ask();
  deepEqual(asked, [{ visitor: "v", take: 3, since: 0, until: 10 }]);
  equal(surprise.nats.length, 10);
  view.horizon = 12;
  await surprise.ask();
  deepEqual([asked[1].since, asked[1].until], [10, 12]);
});

test("an answer to what is no longer here is dropped", async () => {
  const surprise = new Surprise(stage, view);
  const late = surprise.ask();
  surprise.accept({ from: 2 });
  await late;
  deepEqual(surprise.nats, []);
  surprise.accept({});
  stage.goesOn = false;
  await surprise.ask();
  equal(asked.length, 1);
});

test("after an error it is quiet for a while", async () => {
  answer = () => new Response("{}", { status: 500 });
  const surprise = new Surprise(stage, view);
  await surprise.ask();
  await surprise.ask();
  equal(asked.length, 1);
});

test("the less likely a character was, the stronger its tint, up to what is typed", () => {
  const surprise = new Surprise(stage, view);
  const tinted = [];
  surprise.tint = (level, _, index, length) => tinted.push([level, index, length]);
  Object.assign(surprise, { low: 0, nats: [0.5, 2, 4, 6, 0, 0, 9, 9] });
  surprise.paint();
  deepEqual(tinted.map(([level]) => level), [0, 1, 2, 3, 0, 0]);
  surprise.paint();
  equal(tinted.length, 6, "nothing is tinted twice");
});
