import { deepEqual, equal, ok } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Pulls } from "../../generator/web/static/pulls.js";

let asked, answers, stage, pulls;

/* A stage that plays; it notes what is done to it. */
function playing() {
  const done = [];
  return {
    done,
    live: { take: 3 },
    goesOn: true,
    data: { visitor: "token" },
    memory: { lost: false, recover: () => done.push("recover") },
    view: { horizon: 0, position: 0, ahead: 8, first: 0.8, committed: (seconds) => seconds, secondsUntil: (position) => position },
    accept(chunk) {
      done.push(chunk);
      this.view.horizon = chunk.horizon;
    },
    say: (text) => done.push(text),
    stop: (text) => done.push(`stop: ${text}`),
    tick() {},
  };
}

const chunk = (seq, more = {}) => new Response(JSON.stringify({ seq, horizon: seq, ...more }));
const refusal = (status, error) => new Response(JSON.stringify({ error }), { status });

beforeEach(() => {
  asked = [];
  answers = [];
  globalThis.fetch = (_address, { body }) => {
    asked.push(JSON.parse(body));
    const answer = answers.shift();
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  stage = playing();
  pulls = new Pulls(stage);
});

test("the first chunk is short, those after it reach far ahead", async () => {
  answers.push(chunk(1), chunk(2));
  await pulls.next();
  await pulls.next();
  deepEqual(asked.map(({ have }) => have), [0, 1]);
  equal(asked[0].until, 0.8);
  ok(asked[1].until > 8);
});

test("a lost answer is asked for again, after a pause, and said", async () => {
  answers.push(new TypeError("offline"), chunk(1));
  await pulls.next();
  await pulls.next();
  equal(asked.length, 1, "not at once");
  pulls.quietUntil = performance.now() - 1;
  await pulls.next();
  deepEqual(asked.map(({ have }) => have), [0, 0]);
  equal(stage.done[0], "The server is silent; trying again …");
  equal(stage.done.at(-1), "", "and the line goes away");
});

test("a chunk that has come already is not taken twice", async () => {
  answers.push(chunk(1), chunk(1));
  await pulls.next();
  await pulls.next();
  equal(stage.done.length, 1);
});

test("there is one request at a time", async () => {
  let answer;
  answers.push(new Promise((resolve) => (answer = resolve)));
  const first = pulls.next();
  await pulls.next();
  equal(asked.length, 1);
  answer(chunk(1));
  await first;
});

test("an answer to a take that is over is dropped", async () => {
  answers.push(chunk(1));
  const request = pulls.next();
  stage.live = { take: 4 };
  await request;
  equal(stage.done.length, 0);
});

test("the server's refusal stops the stage; a take that is gone is drawn again", async () => {
  answers.push(refusal(409, "out of step"), refusal(410, "gone"));
  await pulls.next();
  await pulls.next();
  deepEqual(stage.done, ["stop: out of step", "recover"]);
});

test("where a take is joined, the first chunk replaces what is here", async () => {
  pulls.begin(12.5);
  answers.push(chunk(1), chunk(2));
  await pulls.next();
  await pulls.next();
  deepEqual(stage.done.map(({ from }) => from), [12.5, undefined]);
});

test("after a slow answer the next change is asked for further ahead", async () => {
  const before = pulls.reaction;
  answers.push(new Promise((resolve) => setTimeout(() => resolve(chunk(1, { from: 2 })), 400)));
  await pulls.next();
  ok(pulls.reaction >= 0.4, `${pulls.reaction}`);
  ok(pulls.reaction > before);
});
