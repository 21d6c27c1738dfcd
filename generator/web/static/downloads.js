// What one takes home: a menu of files and a link of a take, and beside it how far the files are.

import { isAble, quiet } from "./buttons.js";
import { element } from "./elements.js";
import { handOver } from "./files.js";
import { link } from "./link.js";
import { post } from "./server.js";

const GROUPS = {
  Sound: { mid: "MIDI", wav: "WAV", ogg: "OGG", flac: "FLAC" },
  "Sheet music": { pdf: "PDF", "lead.pdf": "Lead sheet", svg: "SVG", musicxml: "MusicXML", abc: "ABC" },
  Text: { txt: "Text" },
  Take: { take: "Take" },
};
const NAMES = Object.assign({}, ...Object.values(GROUPS));
const NEWLINE = 10;
const MARGIN = 8; // pixels between the menu and what is around it
const SAID = 0.25; // how far a file is, is said aloud after each quarter

/* A button with a menu of what `heard` returns: {take, title, length, origin}; `whole` names its extent in words. */
export function downloads(stage, heard, whole) {
  const open = quiet("open", "Download", "Download what this is, as a file", () => {});
  const menu = element("div", "menu");
  const making = element("span", "making");
  menu.popover = "auto";
  menu.setAttribute("role", "dialog");
  menu.setAttribute("aria-label", "Download");
  open.setAttribute("aria-haspopup", "dialog");
  open.popoverTargetElement = menu;
  open.addEventListener("click", (event) => isAble(open) || event.preventDefault());
  menu.addEventListener("beforetoggle", ({ newState }) => {
    if (newState !== "open") return;
    menu.replaceChildren(...contents(stage, menu, making, heard, whole));
    post("prepare", { visitor: stage.data.visitor }).catch(() => {}); // it only saves time
  });
  menu.addEventListener("toggle", ({ newState }) => {
    const { activeElement } = stage.root;
    if (newState === "open") {
      put(menu, open);
      menu.querySelector(".download").focus();
    } else if (!activeElement || menu.contains(activeElement)) open.focus();
  });
  return [making, open, menu];
}

/* The menu, anew each time that it opens. */
function contents(stage, menu, making, heard, whole) {
  const extent = element("select", "extent");
  extent.ariaLabel = "How much";
  extent.append(new Option(whole, "0"));
  for (const more of stage.data.further) extent.append(new Option(`${whole} + ${stage.view.words(more)}`, more));
  const chosen = (action) => () => {
    menu.hidePopover();
    action(heard());
  };
  const groups = Object.entries(GROUPS).map(([name, formats]) => {
    const own = Object.keys(formats).filter((format) => stage.data.formats.includes(format));
    const buttons = own.map((format) => {
      const action = chosen((one) => download(stage, making, one, format, Number(extent.value)));
      const button = quiet("download", NAMES[format], `Download as ${NAMES[format]}`, action);
      button.dataset.format = format;
      return button;
    });
    if (name === "Take") buttons.push(quiet("link", "Link", "Copy a link to this take", chosen(({ origin }) => share(stage, origin))));
    return group(name, buttons);
  });
  return [extent, ...groups.filter(Boolean)];
}

function group(name, buttons) {
  if (!buttons.length) return null;
  const box = element("div", "group");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", name);
  const title = element("span", "title", name);
  title.ariaHidden = "true"; // the group has this name
  box.append(title, ...buttons);
  return box;
}

/* Put a menu below a button, or above it where there is more room. */
function put(menu, button) {
  const { left, top, right, bottom } = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const fits = bottom + MARGIN + height < innerHeight || top < height + MARGIN;
  const inside = (place, size, room) => Math.max(MARGIN, Math.min(place, room - size - MARGIN));
  menu.style.left = `${inside(left + width > innerWidth ? right - width : left, width, innerWidth)}px`;
  menu.style.top = `${inside(fits ? bottom + MARGIN : top - height - MARGIN, height, innerHeight)}px`;
}

/* Have a file made, show how far it is, and hand it over. */
async function download(stage, making, { take, title, length }, format, more) {
  const stop = new AbortController();
  const name = NAMES[format];
  const note = progress(stage, name, () => stop.abort());
  const left = () => stop.abort();
  stage.leaving.signal.addEventListener("abort", left);
  making.append(note.element);
  try {
    const instruments = take === stage.live?.take ? stage.view.instruments?.() : undefined;
    const wanted = { visitor: stage.data.visitor, take, until: length, more, format, instruments };
    const answer = await post("download", wanted, stop.signal);
    handOver(await received(answer, note.tell), `${title.replace(/[^\p{L}\p{N}]+/gu, "-")}.${format}`);
    note.say(`${name} is downloaded`);
  } catch (error) {
    if (stop.signal.aborted) note.say(`${name} is cancelled`);
    else stage.say(error instanceof TypeError ? `The server is silent; ask for the ${name} again.` : error.message);
  } finally {
    stage.leaving.signal.removeEventListener("abort", left);
    const lost = note.element.contains(stage.root.activeElement);
    note.element.remove();
    if (lost) making.nextElementSibling.focus();
  }
}

/* How far a file is, with a button that gives it up. */
function progress(stage, name, cancel) {
  const box = element("span", "file");
  const words = element("span", "share", `${name} …`);
  words.setAttribute("role", "progressbar");
  words.ariaLabel = name;
  const button = quiet("cancel", "✕", `Cancel ${name}`, cancel);
  button.ariaLabel = button.title;
  box.append(words, button);
  const say = (text) => (stage.find(".aloud").textContent = text);
  let next = 0; // the share from which on it is said again
  let before = "";
  const tell = ({ doing, done }) => {
    const what = doing === "drawing" ? `${name}: drawing` : name;
    if (doing !== before) next = 0;
    before = doing;
    words.textContent = done === undefined ? `${name} …` : `${what} ${Math.floor(100 * done)} %`;
    if (done === undefined) return;
    words.ariaValueNow = String(Math.floor(100 * done));
    if (done < next) return;
    next = done + SAID;
    say(words.textContent);
  };
  return { element: box, tell, say };
}

/* The file in an answer: lines of JSON, an empty line, and its bytes. `tell` is called with what a line says. */
export async function received(answer, tell) {
  const reader = answer.body.getReader();
  let head = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new TypeError("it broke off");
    const longer = new Uint8Array(head.length + value.length);
    longer.set(head);
    longer.set(value, head.length);
    head = longer;
    for (let end; (end = head.indexOf(NEWLINE)) >= 0; head = head.subarray(end + 1)) {
      if (end === 0) return new Blob([head.subarray(1), ...(await rest(reader))]);
      const told = JSON.parse(new TextDecoder().decode(head.subarray(0, end)));
      if (told.error) throw new Error(told.error);
      tell(told);
    }
  }
}

async function rest(reader) {
  const parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return parts;
    parts.push(value);
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
