// On a telephone the side bar lies over the page, so it closes when another page was chosen in it.

const NARROW = 768; // pixels, below which Streamlit lays it over the page
const OPENING_MS = 300; // a bar that still opens does not hear that it is to close, so it is told again
const MOST_TRIES = 10;
let listens = false; // once, for all pages
let next = 0; // the timer of the next try

export function closesAfterChoice() {
  if (listens) return;
  listens = true;
  document.addEventListener("click", ({ target, isTrusted }) => {
    if (isTrusted) clearTimeout(next); // whoever opens the bar meanwhile wants it open
    const isChoice = /** @type {Element} */ (target).closest?.("[data-testid=stSidebarNavLink]");
    if (isChoice && innerWidth < NARROW) next = setTimeout(close, OPENING_MS);
  });
}

function close(tries = 0) {
  /** @type {HTMLElement | null} */
  const button = document.querySelector("[data-testid=stSidebarCollapseButton] button"); // there while the bar is open
  if (!button || tries === MOST_TRIES) return;
  button.click();
  next = setTimeout(close, OPENING_MS, tries + 1);
}
