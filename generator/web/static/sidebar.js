// On a telephone the side bar lies over the page, so it closes when another page was chosen in it.

const NARROW = 768; // pixels, below which Streamlit lays it over the page
const OPENING_MS = 300; // a bar that still opens would not hear that it is to close
let listens = false; // once, for all pages

export function closesAfterChoice() {
  if (listens) return;
  listens = true;
  document.addEventListener("click", ({ target }) => {
    const isChoice = /** @type {Element} */ (target).closest?.("[data-testid=stSidebarNavLink]");
    if (isChoice && innerWidth < NARROW) setTimeout(close, OPENING_MS);
  });
}

function close() {
  /** @type {HTMLElement | null} */
  const button = document.querySelector("[data-testid=stSidebarCollapseButton] button");
  button?.click();
}
