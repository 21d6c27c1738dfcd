// What is asked of the server: an answer, its error in words, and a polite second try.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { post } from "../../generator/web/static/server.js";

/* The statuses of the answers in their order, the last one for ever; returns what was asked. */
function answering(...statuses) {
  const asked = [];
  globalThis.fetch = /** @type {any} */ (
    (address, { body }) => {
      asked.push([address.pathname.split("/").at(-1), JSON.parse(body)]);
      const status = statuses.length > 1 ? statuses.shift() : statuses[0];
      const words = status === 500 ? "<html>" : JSON.stringify({ error: "in words" });
      return Promise.resolve(new Response(words, { status, headers: { "Retry-After": "1" } }));
    }
  );
  return asked;
}

test("an answer is handed on, and an error has the server's words", async () => {
  const asked = answering(200);
  await post("sheet", { take: 1 });
  assert.deepEqual(asked, [["sheet", { take: 1 }]]);
  answering(410);
  await assert.rejects(post("sheet", {}), { message: "in words", final: true, gone: true });
  answering(500);
  await assert.rejects(post("sheet", {}), { message: "the server answered 500", final: false, gone: false });
});

test("where the server says that one request is enough, it is asked again later, and not for ever", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const soon = async () => {
    for (let turn = 0; turn < 20; turn++) {
      await new Promise(setImmediate);
      mock.timers.tick(1000);
    }
  };
  const asked = answering(429, 429, 200);
  const [answer] = await Promise.all([post("alternatives", {}), soon()]);
  assert.equal(answer.status, 200);
  assert.equal(asked.length, 3);
  const again = answering(429);
  await Promise.all([assert.rejects(post("alternatives", {}), { message: "in words", final: true }), soon()]);
  assert.equal(again.length, 5);
  mock.timers.reset();
});
