// The shelf: the rows of kept takes.

import { quiet } from "./buttons.js";
import { downloads } from "./downloads.js";
import { element } from "./elements.js";

/* The rows of kept takes. A row that stays is not made anew, because a button in it may have the focus. */
/** @param {import("./stage.js").Stage} stage */
export function shelve(stage) {
  const list = stage.find(".kept ul");
  const { kept } = stage.data;
  for (const row of [...list.children]) {
    if (kept.some(({ take }) => String(take) === row.dataset.take)) continue;
    const lost = row.contains(stage.root.activeElement);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    if (lost) (next?.querySelector(".remove") ?? stage.find(".keep")).focus();
  }
  kept.forEach((one, index) => {
    if (list.children[index]?.dataset.take !== String(one.take)) {
      list.insertBefore(rowOf(stage, one), list.children[index] ?? null);
    }
  });
  stage.find(".kept").hidden = kept.length === 0;
}

function rowOf(stage, one) {
  const row = element("li");
  row.dataset.take = one.take;
  const files = element("span", "files");
  files.append(
    quiet("replay", "Play", "Play from its beginning", () => stage.wait("replay", one.take)),
    ...downloads(stage, () => one, "The whole take"),
    quiet("remove", "Remove", "Remove from the kept takes", () => stage.trigger("remove", one.take)),
  );
  row.append(element("span", "name", one.title), element("span", "words", stage.view.words(one.length)), files);
  return row;
}
