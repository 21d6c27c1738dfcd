// What can be saved of a take: the buttons for downloads, and the rows of kept takes.

import { post } from "./server.js";

const LABELS = { mid: "MIDI", wav: "WAV", musicxml: "MusicXML", svg: "Score", txt: "Text", take: "Take" };

/* A button that cannot be pressed keeps the keyboard's focus; only `disabled` would lose it. */
export const able = (button, can) => button.setAttribute("aria-disabled", String(!can));
export const isAble = (button) => button.getAttribute("aria-disabled") !== "true";

/* What a button does when it is pressed, unless it cannot be. */
export const onPress = (button, action) => button.addEventListener("click", () => isAble(button) && action());

/* Build a file of what has been heard, now, and hand it over. */
async function download(stage, button, { take, title, length }) {
  const { format } = button.dataset;
  button.classList.add("busy");
  able(button, false);
  try {
    const answer = await post("download", { visitor: stage.data.visitor, take, until: length, format });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-")}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    stage.say(error.message);
  } finally {
    button.classList.remove("busy");
    able(button, true);
  }
}

/* A button for each format, to download what `heard` returns: {take, title, length}. */
export function downloads(stage, heard) {
  return stage.data.formats.map((format) => {
    const button = document.createElement("button");
    button.className = "quiet";
    button.dataset.format = format;
    button.title = `Download as ${LABELS[format]}`;
    button.textContent = LABELS[format];
    onPress(button, () => download(stage, button, heard()));
    return button;
  });
}

/* The rows of kept takes. A row that stays is not made anew, because a button in it may have the focus. */
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
  const row = document.createElement("li");
  row.dataset.take = one.take;
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: one.title });
  const words = Object.assign(document.createElement("span"), { className: "words", textContent: stage.view.words(one.length) });
  const remove = Object.assign(document.createElement("button"), { className: "quiet remove", textContent: "Remove" });
  onPress(remove, () => stage.trigger("remove", one.take));
  const files = Object.assign(document.createElement("span"), { className: "files" });
  files.append(...downloads(stage, () => one), remove);
  row.append(name, words, files);
  return row;
}
