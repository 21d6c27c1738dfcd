// What the browser remembers, as JSON: for this tab, or for all of them. Storage may be full, or forbidden; then nothing is
// remembered. What is read may be anything: it belongs to the browser.

export const TAB = "sessionStorage";
export const BROWSER = "localStorage";

/* What is remembered under a key; null if it is nothing, no JSON, or longer than so many characters. */
export function recall(where, key, longest = Infinity) {
  try {
    const text = globalThis[where].getItem(key);
    return text !== null && text.length <= longest ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

export function remember(where, key, value) {
  try {
    globalThis[where].setItem(key, JSON.stringify(value));
  } catch {
    // then it is not remembered
  }
}

export function forget(where, key) {
  try {
    globalThis[where].removeItem(key);
  } catch {
    // then there is nothing
  }
}
