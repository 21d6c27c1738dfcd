import { equal, ok, rejects } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { link, linked } from "../../generator/web/static/link.js";

const open = (address) => Object.defineProperty(globalThis, "location", { value: new URL(address), configurable: true });

beforeEach(() => open("http://localhost/carousel/"));

test("a link brings back what it was made of", async () => {
  const origin = JSON.stringify({ seed: 7, prime: "Grüße, ♯ und ♭", timeline: Array.from({ length: 200 }, (_, index) => [index, 0.9]) });
  const address = await link(origin);
  ok(address.startsWith("http://localhost/carousel/#take="));
  ok(/^[\w-]+$/.test(address.split("=")[1]), "it needs no escapes");
  open(address);
  equal(await linked(), origin);
});

test("without a link there is nothing", async () => equal(await linked(), null));

test("a link that was cut off or changed says so", async () => {
  const address = await link("a take ".repeat(100));
  for (const broken of [address.slice(0, -8), `${address}!`, address.replace("take=", "take=zz"), "http://localhost/#take="]) {
    open(broken);
    await rejects(linked(), /cut off or changed/);
  }
});

test("a link that unpacks to more than a megabyte is refused", async () => {
  open(await link("a".repeat(2 ** 21)));
  await rejects(linked(), /cut off or changed/);
});

test("a take that is too long for a link is refused", async () => {
  const noise = Array.from({ length: 30_000 }, (_, index) => Math.sin(index).toString(36)).join("");
  await rejects(link(noise), /too long for a link/);
});
