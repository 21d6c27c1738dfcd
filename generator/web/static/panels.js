// Panels: what a first-time visitor does not need, each behind a button of its own below the transport.

const open = new Set(); // the names of the open panels, on both pages and after a page is put in anew

/** @typedef {{ name: string, element: HTMLElement, toggled?(isOpen: boolean): void }} Panel */

/**
 * @param {import("./stage.js").Stage} stage
 * @param {Panel} panel
 */
export function addPanel(stage, { name, element, toggled }) {
  const button = document.createElement("button");
  const show = (isOpen) => {
    element.hidden = !isOpen;
    button.setAttribute("aria-expanded", isOpen);
    toggled?.(isOpen);
  };
  button.textContent = name;
  element.classList.add("panel");
  element.id = `panel-${name.toLowerCase()}`;
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", name);
  button.setAttribute("aria-controls", element.id);
  button.addEventListener("click", () => {
    open[open.has(name) ? "delete" : "add"](name);
    show(open.has(name));
  });
  stage.find(".panel-buttons").append(button);
  stage.find(".panels").append(element);
  show(open.has(name));
}
