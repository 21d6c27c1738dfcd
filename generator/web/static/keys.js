// The keyboard: one key for each button of a stage, from anywhere on the page, and a dialogue that lists them.

let inUse = true; // until the listener turns them off, on both pages
const STEPS = { "+": 1, "=": 1, "-": -1 };
export const TAKES_LETTERS = "input:not([type=checkbox]), textarea, select, [contenteditable], [role=slider], [role=combobox], [role=listbox], [role=menu]";
const COVERS = "dialog[open], [role=dialog], [role=menu], [role=listbox], [role=tooltip]"; // of Streamlit, which closes them at Escape
const TAKES_SPACE = "input, button, a[href], summary, [role=button], [role=switch], .page";

/* Listen for a stage; returns the function that ends it. */
/** @param {import("./stage.js").Stage} stage */
export function listen(stage) {
  const dialogue = stage.find("dialog");
  const slider = stage.find(".extra input");
  dialogue.querySelector(".slider").textContent = slider.ariaLabel;
  const box = dialogue.querySelector("input");
  box.checked = inUse;
  box.addEventListener("change", () => (inUse = box.checked));
  stage.find(".keys").addEventListener("click", () => dialogue.showModal());

  const press = (selector) => stage.find(selector).click();
  const actions = {
    k: () => press(".play"),
    Escape: () => press(".stop"),
    b: () => press(".back"),
    s: () => press(".keep"),
    "?": () => dialogue.showModal(),
  };
  const heard = (event) => {
    const at = event.composedPath()[0];
    const busy = event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey;
    const isCovered = dialogue.open || stage.find(":popover-open") || document.querySelector(COVERS);
    if (busy || isCovered || at.closest?.(TAKES_LETTERS)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isTaken = key === "Escape" && stage.parts.some((part) => part.escape?.());
    if (!inUse && !isTaken) return;
    if (isTaken) event.preventDefault();
    else if (Object.hasOwn(STEPS, key)) turn(slider, STEPS[key]);
    else if (key === " " && !at.closest?.(TAKES_SPACE)) event.repeat || actions.k(); // held, it would scroll the page
    else if (event.repeat) return;
    else if (Object.hasOwn(actions, key)) actions[key]();
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has letters of its own
  };
  document.addEventListener("keydown", heard, true);
  return () => document.removeEventListener("keydown", heard, true);
}

/* Move a slider by a tenth of its length. */
function turn(slider, direction) {
  slider.value = Number(slider.value) + (direction * (slider.max - slider.min)) / 10;
  slider.dispatchEvent(new Event("input"));
}
