// Elements from HTML of our own.

/** A div with this content. @returns {any} */
export function made(content, className = "") {
  return Object.assign(document.createElement("div"), { innerHTML: content, className });
}
