import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { BROWSER, forget, recall, remember, TAB } from "../../generator/web/static/storage.js";

/* Let a storage be this, or what a function returns. */
const storage = (name, get) => Object.defineProperty(globalThis, name, { get, configurable: true });

test("what is remembered is there again, in the tab or in the browser, until it is forgotten", () => {
  for (const where of [TAB, BROWSER]) {
    const kept = new Map();
    const real = { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text), removeItem: (key) => kept.delete(key) };
    storage(where, () => real);
    equal(recall(where, "a"), null);
    remember(where, "a", { b: [1, null] });
    deepEqual(recall(where, "a"), { b: [1, null] });
    equal(recall(where, "a", 5), null, "longer than that");
    kept.set("a", "{ not JSON");
    equal(recall(where, "a"), null);
    forget(where, "a");
    equal(kept.size, 0);
  }
});

test("a storage that is forbidden or full does no harm", () => {
  const refuse = () => {
    throw new Error("forbidden");
  };
  for (const get of [refuse, () => ({ getItem: refuse, setItem: refuse, removeItem: refuse })]) {
    storage(TAB, get);
    remember(TAB, "a", 1);
    forget(TAB, "a");
    equal(recall(TAB, "a"), null);
  }
});
