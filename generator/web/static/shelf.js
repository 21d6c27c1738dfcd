// What one takes home: files and links of the live take, and the rows of kept takes.

import { link } from "./link.js";
import { post } from "./server.js";

const LABELS = { mid: "MIDI", wav: "WAV", musicxml: "MusicXML", svg: "Score", txt: "Text", take: "Take" };

/* A button that cannot be pressed keeps the keyboard's focus; only `disabled` would lose it. */
export const able = (button, can) => button.setAttribute("aria-disabled", String(!can));
export const isAble = (button) => button.getAttribute("aria-disabled") !== "true";

/* What a button does when it is pressed, unless it cannot be. */
export const onPress = (button, action) => button.addEventListener("click", () => isAble(button) && action());

const element = (tag, className, textContent = "") => Object.assign(document.createElement(tag), { className, textContent });

/* A small button. */
function quiet(name, text, title, action) {
  const button = Object.assign(element("button", `quiet ${name}`, text), { title });
  onPress(button, () => action(button));
  return button;
}

/* Build a file of what has been heard, now, and hand it over. */
async function download(stage, button, { take, title, length }) {
  const { format } = button.dataset;
  button.classList.add("busy");
  able(button, false);
  try {
    const answer = await post("download", { visitor: stage.data.visitor, take, until: length, format });
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(await answer.blob());
    anchor.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-")}.${format}`;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
  } catch (error) {
    stage.say(error.message);
  } finally {
    button.classList.remove("busy");
    able(button, true);
  }
}

/* Copy a link that draws a take again. */
async function share(stage, origin) {
  try {
    const address = await link(origin);
    await navigator.clipboard.writeText(address).then(
      () => stage.say("The link is copied. Whoever opens it hears this take from its beginning."),
      () => prompt("Copy this link:", address),
    );
  } catch (error) {
    stage.say(error.message);
  }
}

/* Buttons for each format and for a link, of what `heard` returns: {take, title, length, origin}. */
export function downloads(stage, heard) {
  const files = stage.data.formats.map((format) => {
    const button = quiet("download", LABELS[format], `Download as ${LABELS[format]}`, () => download(stage, button, heard()));
    button.dataset.format = format;
    return button;
  });
  return [...files, quiet("link", "Link", "Copy a link to this take", () => share(stage, heard().origin))];
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
  const files = element("span", "files");
  files.append(
    quiet("replay", "Play", "Play from its beginning", () => stage.wait("replay", one.take)),
    ...downloads(stage, () => one),
    quiet("remove", "Remove", "Remove from the kept takes", () => stage.trigger("remove", one.take)),
  );
  row.append(element("span", "name", one.title), element("span", "words", stage.view.words(one.length)), files);
  return row;
}
