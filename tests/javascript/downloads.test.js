import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import { received } from "../../generator/web/static/downloads.js";

/* An answer that arrives in pieces of so many bytes. */
function answer(text, size) {
  const bytes = new TextEncoder().encode(text);
  return new Response(
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
        controller.close();
      },
    }),
  );
}

const LINES = '{"doing":"waiting"}\n{"doing":"making","done":0.5}\n';

for (const size of [1, 7, 1000]) {
  test(`lines and a file, in pieces of ${size}`, async () => {
    const told = [];
    const file = await received(answer(`${LINES}\n\n\nthe\nfile`, size), (line) => told.push(line));
    equal(await file.text(), "\n\nthe\nfile");
    deepEqual(told, [{ doing: "waiting" }, { doing: "making", done: 0.5 }]);
  });
}

test("an empty file is a file", async () => {
  equal((await received(answer(`${LINES}\n`, 9), () => {})).size, 0);
});

test("an error is said", async () => {
  await rejects(received(answer(`${LINES}{"error":"too long"}\n`, 5), () => {}), { name: "Error", message: "too long" });
});

test("an answer that breaks off is no file", async () => {
  for (const text of ["", LINES, '{"doing":']) await rejects(received(answer(text, 5), () => {}), TypeError);
});
