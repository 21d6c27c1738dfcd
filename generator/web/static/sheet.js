// The music as sheet music: the server engraves a few bars at a time, and what sounds is lit from the clock of the sound.

import { variable } from "./colours.js";
import { element } from "./elements.js";
import { post } from "./server.js";
import { recall, remember, TAB } from "./storage.js";
import { isBefore } from "./times.js";

const NARROW = 700; // pixels; a narrower sheet has fewer bars in a line
const BARS = [2, 4]; // in a line, on a narrow sheet and on a wide one
const MOST = 16; // lines on the page
const PAUSE_MS = 400; // between two requests
const RETRY_MS = 3000;
const SCROLLED_MS = 6000; // as long the sheet stays where the reader has scrolled it
const VIEW = "carousel-view";
const NO_BARS =
  "This checkpoint plays freely, like a pianist, and writes no bars; so there is no sheet while it plays. A download of sheet music writes down what was heard, to the nearest sixteenth.";
const BUSY = "The first bars are being engraved …";
const EMPTY = "The sheet fills while the music plays.";

export class Sheet {
  constructor(music) {
    this.music = music;
    this.written = true;
    this.canvas = music.element.querySelector("canvas");
    this.element = element("div", "sheet");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", "Sheet music");
    const scrolled = () => (this.scrolledAt = performance.now());
    for (const kind of ["wheel", "touchmove", "keydown"]) this.element.addEventListener(kind, scrolled, { passive: true });
    this.switches = this.switchViews();
    music.element.querySelector(".head").append(this.switches);
    this.canvas.after(this.element);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.clear();
    this.show(recall(TAB, VIEW) === "sheet");
  }

  switchViews() {
    const group = element("div", "views");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "View");
    for (const name of ["Roll", "Sheet"]) {
      const button = element("button", "quiet", name);
      button.addEventListener("click", () => this.show(name === "Sheet"));
      group.append(button);
    }
    return group;
  }

  show(isShown) {
    this.isShown = isShown;
    this.canvas.hidden = isShown;
    this.element.hidden = !isShown;
    [...this.switches.children].forEach((button, index) => button.setAttribute("aria-pressed", String(Boolean(index) === isShown)));
    remember(TAB, VIEW, isShown ? "sheet" : "roll");
    cancelAnimationFrame(this.request);
    if (isShown) this.frame();
  }

  clear() {
    this.bars = []; // positions
    this.ends = [];
    this.problem = null; // why there is no sheet, in the server's words
    this.number = 0; // of the bars before the first of them
    this.forget();
  }

  /* All that is drawn is drawn again. */
  forget() {
    this.lines = new Map(); // position of a line's first bar → {element, until, notes}
    this.lit = new Set();
    this.quietUntil = 0;
    this.element.replaceChildren();
  }

  begin(live) {
    this.clear();
    this.number = live.bars;
    this.add(live.before);
  }

  accept(chunk) {
    const { from } = chunk;
    if (from !== undefined) {
      this.bars = this.bars.filter((at) => isBefore(at, from));
      this.ends = this.ends.filter((at) => isBefore(at, from));
      for (const [at, line] of this.lines) if (!isBefore(line.until, from)) this.remove(at);
    }
    this.add(chunk);
  }

  add({ bars, ends }) {
    for (const at of bars) if (at < 0) this.number += 1;
    this.bars.push(...bars.filter((at) => at >= 0));
    this.ends.push(...ends.filter((at) => at >= 0));
    const old = this.bars.length - 400;
    if (old > 0) {
      this.bars = this.bars.slice(old);
      this.number += old;
      this.ends = this.ends.filter((at) => at >= this.bars[0]);
    }
  }

  /* The lines that can be drawn by now, as [first bar, end, number of the first bar]. A piece begins with a line. */
  known() {
    const most = BARS[Number(this.element.clientWidth >= NARROW)];
    const edges = [...new Set([...this.bars, ...this.ends])].sort((one, other) => one - other);
    const found = [];
    for (let index = 0; index + 1 < edges.length; index++) {
      const [at, until] = [edges[index], edges[index + 1]];
      const isNew = !found.length || found.at(-1)[3] === most || this.ends.includes(at);
      if (isNew) found.push([at, until, this.number + this.bars.indexOf(at) + 1, 1]);
      else found.splice(-1, 1, [found.at(-1)[0], until, found.at(-1)[2], found.at(-1)[3] + 1]);
    }
    return found;
  }

  tick() {
    const { music } = this;
    const { stage } = music;
    if (!this.isShown) return;
    if (this.transposed !== music.mix.transpose) {
      this.transposed = music.mix.transpose;
      this.forget();
    }
    if (!this.lines.size) this.element.dataset.hint = !this.written ? NO_BARS : (this.problem ?? (this.busy ? BUSY : EMPTY));
    if (!this.written || !stage.live || this.busy || performance.now() < this.quietUntil) return;
    const now = music.position;
    const wanted = this.known().find(([at, until]) => until > now && (this.lines.get(at)?.until ?? 0) < until);
    if (wanted) this.draw(...wanted);
  }

  async draw(from, until, number) {
    const { stage, mix } = this.music;
    const { live } = stage;
    const { transpose } = mix;
    this.busy = true;
    this.quietUntil = performance.now() + PAUSE_MS;
    try {
      const request = { visitor: stage.data.visitor, take: live.take, from, until, width: this.element.clientWidth, transpose };
      const line = await (await post("sheet", request)).json();
      const isStill = this.bars.includes(from) && [...this.bars, ...this.ends].includes(until);
      if (stage.live === live && transpose === mix.transpose && isStill) this.put(from, until, number, line);
      this.problem = null;
    } catch (error) {
      this.problem = error.final ? error.message : null; // of all else the music says what is wrong
      this.quietUntil = performance.now() + RETRY_MS;
    } finally {
      this.busy = false;
    }
  }

  put(from, until, number, { svg, notes, voices }) {
    const box = element("div", "line");
    box.append(element("span", "number", number));
    const drawing = svg ? picture(svg) : box; // bars may be empty
    if (svg) {
      drawing.setAttribute("role", "img");
      drawing.setAttribute("aria-label", `Sheet music from bar ${number} on`);
      box.append(drawing);
    }
    const found = notes.map(([id, start, end]) => {
      const note = /** @type {any} */ (drawing.querySelector(`#${CSS.escape(id)}`));
      const staff = note.closest(".staff");
      const voice = voices[[...staff.parentElement.querySelectorAll(".staff")].indexOf(staff)];
      note.style.setProperty("--voice", variable(voice));
      return { note, start, end };
    });
    const before = this.lines.get(from)?.element;
    if (before) before.replaceWith(box);
    else {
      const next = [...this.lines].filter(([at]) => at > from).sort(([one], [other]) => one - other)[0];
      this.element.insertBefore(box, next?.[1].element ?? null);
    }
    this.lines.set(from, { element: box, until, notes: found });
    for (const at of [...this.lines.keys()].sort((one, other) => one - other).slice(0, -MOST)) this.remove(at);
  }

  remove(at) {
    this.lines.get(at).element.remove();
    this.lines.delete(at);
  }

  /* Light what sounds, and keep its line in view. */
  frame() {
    this.request = requestAnimationFrame(() => this.frame());
    const now = this.music.position;
    const isHeard = ({ start, end }) => start <= now && now < end;
    const lit = new Set([...this.lines.values()].flatMap(({ notes }) => notes.filter(isHeard).map(({ note }) => note)));
    for (const note of this.lit) if (!lit.has(note)) note.classList.remove("sounding");
    for (const note of lit) note.classList.add("sounding");
    this.lit = lit;
    this.music.roll.onSounding(this.music.roll.notes.filter(([start, duration]) => start <= now && now < start + duration));
    const [, line] = [...this.lines].find(([at, { until }]) => at <= now && now < until) ?? [];
    if (line?.element === this.playing || (this.scrolledAt ?? -Infinity) > performance.now() - SCROLLED_MS) return;
    this.playing = line?.element;
    const top = line && line.element.offsetTop - this.element.offsetTop;
    if (line) this.element.scrollTo({ top, behavior: this.still.matches ? "instant" : "smooth" });
  }

  close() {
    cancelAnimationFrame(this.request);
  }

  get report() {
    return { lines: this.lines.size, lit: this.lit.size, sheetUntil: Math.max(0, ...[...this.lines.values()].map(({ until }) => until)) };
  }
}

/* A drawing from the server as an element. Whatever could run or load is left out. */
function picture(svg) {
  const { documentElement } = new DOMParser().parseFromString(svg, "image/svg+xml");
  if (documentElement.localName !== "svg") throw new Error("this is no picture");
  for (const part of [documentElement, ...documentElement.querySelectorAll("*")]) {
    if (/^(script|foreignObject|image|a|animate.*|set)$/i.test(part.localName)) part.remove();
    for (const { name, value } of [...part.attributes]) {
      if (/^on/i.test(name) || (/href$/i.test(name) && !value.startsWith("#"))) part.removeAttribute(name);
    }
  }
  return document.adoptNode(documentElement);
}
