// Elements that a module makes: by their tag, or from HTML of its own.

/** @returns {any} */
export const element = (tag, className = "", textContent = "") => Object.assign(document.createElement(tag), { className, textContent });

/** A div with this content. @returns {any} */
export function made(content, className = "") {
  return Object.assign(document.createElement("div"), { innerHTML: content, className });
}
