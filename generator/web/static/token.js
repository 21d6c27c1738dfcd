// Remembers in this browser, also when its tab is closed, which training is its own.

import { closesAfterChoice } from "./sidebar.js";

closesAfterChoice();

const KEY = "carousel-training";

/* From Python: `token`, the one that the page has, and whether it is that of the training. Without it, what this browser
   remembers is sent. */
export default function token({ data, setTriggerValue }) {
  try {
    if (data.isOwn) localStorage.setItem(KEY, data.token);
    else {
      const known = localStorage.getItem(KEY);
      if (known && known !== data.token) setTriggerValue("known", known);
    }
  } catch {
    // storage is forbidden: then only this tab knows it
  }
}
