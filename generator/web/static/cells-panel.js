// What one sees of the cells and gates, and chooses: the heat map, the lines of one unit, and the controls around them.

import { HOLDABLE } from "./clamps.js";
import { said, signed } from "./columns.js";
import { element, made } from "./elements.js";
import { Holding } from "./held.js";
import { Lesson } from "./lesson.js";
import { PARTS } from "./lines.js";
import { GUTTER } from "./roll.js";
import { post } from "./server.js";
import { ROWS, about, meaning, numbered, reasonsOf } from "./units.js";

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-10, 0], PageDown: [10, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const CONTENT = `
  <div class="tools">
    <span class="shown" role="group" aria-label="What is shown">
      ${PARTS.map(({ part, name }) => `<button class="quiet" data-part="${part}">${name}</button>`).join("")}
    </span>
    <label>Layer <select class="layer"></select></label>
    <label>Units <select class="rows">${[...ROWS].map(([value, name]) => `<option value="${value}">${name}</option>`).join("")}</select></label>
    <label>Find <input type="search" placeholder="number or meaning" list="carousel-labels" /></label>
    <datalist id="carousel-labels"></datalist>
  </div>
  <p class="message" role="status"></p>
  <div class="found" role="group" aria-label="Units that follow it" hidden></div>
  <canvas class="map" tabindex="0" role="application" aria-label="Units and tokens. Up and down choose a unit, left and right a token."></canvas>
  <div class="reading"><p class="readout"></p><button class="quiet why">Why this token?</button></div>
  <div class="reasons" role="group" aria-label="Why this token" hidden><p></p><span></span></div>
  <canvas class="lines" role="img"></canvas>
  <ul class="key" aria-label="The lines">
    ${PARTS.map(({ part, name }) => `<li data-part="${part}">${name} <b></b></li>`).join("")}
  </ul>
  <p class="about"></p>`;

export class CellsPanel {
  /** @param {import("./cells.js").Cells} cells */
  constructor(cells) {
    this.cells = cells;
    this.pointer = null; // where it is on the heat map
    this.element = made(CONTENT, "cells");
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Cells and gates");
    this.map = this.find(".map");
    this.lines = this.find(".lines");
    this.holding = new Holding(cells.held, () => cells);
    this.lesson = new Lesson(cells, this.holding);
    this.element.append(this.holding.element);
    const both = made("", "learning");
    both.append(this.element, this.lesson.element);
    cells.stage.find(".kept").before(both);
    for (const button of this.find(".shown").children) button.addEventListener("click", () => cells.choose({ part: button.dataset.part }));
    this.find(".layer").addEventListener("change", ({ target }) => cells.choose({ layer: Number(target.value) }));
    this.find(".rows").addEventListener("change", ({ target }) => cells.choose({ which: target.value }));
    this.find("input").addEventListener("input", ({ target }) => this.search(target.value));
    this.map.addEventListener("pointermove", ({ offsetX, offsetY }) => this.point({ offsetX, offsetY }));
    this.map.addEventListener("pointerleave", () => this.point(null));
    this.map.addEventListener("click", (event) => {
      const place = this.under(event);
      if (place) cells.choose({ unit: place.unit, cursor: cells.columns.start + place.index });
    });
    this.find(".why").addEventListener("click", () => this.why());
    this.map.addEventListener("keydown", (event) => this.press(event));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  hide(isHidden) {
    this.element.hidden = this.lesson.element.hidden = isHidden;
  }

  show() {
    const { units, layer, unit, part, which } = this.cells;
    for (const button of this.find(".shown").children) button.setAttribute("aria-pressed", String(button.dataset.part === part));
    this.find(".rows").value = which;
    this.find(".layer").value = String(layer);
    this.find(".about").textContent = units ? about(units, layer, unit) : "";
    this.lines.setAttribute("aria-label", `The cell and the gates of unit ${unit} of layer ${layer}`);
    this.holding.show();
    this.lesson.show();
  }

  /* What is known of the units of this checkpoint. */
  know({ layers, labels }) {
    this.find(".layer").replaceChildren(...Array.from({ length: layers }, (_, number) => new Option(String(number), String(number))));
    const names = [...new Set(labels.map(([, , label]) => label))];
    this.find("datalist").replaceChildren(...names.map((name) => new Option(name, name)));
  }

  /* The colours of the lines, for their key. */
  tint(look) {
    for (const { part, colour } of PARTS) this.find(`.key [data-part=${part}]`).style.setProperty("--part", look.colours[colour]);
  }

  say(text) {
    const line = this.find(".message");
    if (line.textContent !== text) line.textContent = text;
  }

  search(text) {
    const { cells } = this;
    const { units, layer } = cells;
    const found = this.find(".found");
    found.hidden = true;
    this.say("");
    if (!text.trim()) return undefined;
    if (!units) return this.say("Press Start first; then its units are known.");
    const one = numbered(text, layer);
    if (one && (one.layer >= units.layers || one.unit >= units.units)) {
      return this.say(`There is no unit ${one.layer}.${one.unit}: the layers are 0 to ${units.layers - 1}, with units 0 to ${units.units - 1}.`);
    }
    if (one) return cells.choose(one);
    if (!units.labels.length) return this.say("What these units follow is not known; evaluate --units finds it out. Type a number.");
    const rows = meaning(units, text);
    if (!rows.length) return this.say("No unit is known to follow that; choose from the list under the field.");
    found.hidden = false;
    found.replaceChildren(
      ...rows.map(([inLayer, unit, label, strength]) => {
        const button = element("button", "quiet", `${label}: ${inLayer}.${unit} (${strength.toFixed(2)})`);
        button.addEventListener("click", () => cells.choose({ layer: inLayer, unit }));
        return button;
      }),
    );
    return undefined;
  }

  /* The unit and the column under the pointer, if there are any. */
  under(pointer) {
    const { heatmap, columns, positionAt } = this.cells;
    const { rows } = heatmap;
    if (!pointer || !positionAt || pointer.offsetX < GUTTER || !rows.length) return null;
    const row = Math.floor((pointer.offsetY / this.map.clientHeight) * rows.length);
    return { unit: rows[Math.max(0, Math.min(rows.length - 1, row))], index: columns.indexAt(positionAt(pointer.offsetX)) };
  }

  point(pointer) {
    this.pointer = pointer;
    this.cells.drawn = 0; // it is shown at once
    this.read();
  }

  press(event) {
    const { cells } = this;
    const step = KEYS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || !cells.units) return;
    event.preventDefault();
    event.stopPropagation();
    const within = (index, length) => Math.max(0, Math.min(length - 1, index));
    const { rows } = cells.heatmap;
    this.pointer = null;
    if (step[0]) cells.choose({ unit: rows[within(rows.indexOf(cells.unit) + step[0], rows.length)] });
    else {
      cells.cursor = cells.columns.start + within(this.index + step[1], cells.columns.length);
      cells.drawn = 0; // it is shown at once
      this.read();
    }
    cells.stage.find(".aloud").textContent = step[0] ? this.find(".about").textContent : this.find(".readout").textContent;
  }

  /* The column that is pointed at, or was chosen; -1 without one in sight. */
  get pointed() {
    const { cursor, columns } = this.cells;
    const chosen = cursor >= columns.start && cursor < columns.next ? cursor - columns.start : -1;
    return this.under(this.pointer)?.index ?? chosen;
  }

  /* The same, or else the column that is heard. */
  get index() {
    const { columns, view } = this.cells;
    return this.pointed >= 0 ? this.pointed : columns.indexAt(view.position);
  }

  /* Which gates made the chosen token come, or else the one that is heard. */
  async why() {
    const { stage, columns } = this.cells;
    const { index } = this;
    if (index < 0) return this.say("Press Start first; then choose a token.");
    const reasons = this.find(".reasons");
    const words = columns.words[index];
    try {
      const whose = { visitor: stage.data.visitor, take: stage.live.take };
      const found = await (await post("reasons", { ...whose, position: columns.start + index })).json();
      const { said: heading, mattered } = reasonsOf(words, found);
      reasons.hidden = false;
      reasons.querySelector("p").textContent = heading;
      reasons.querySelector("span").replaceChildren(...mattered.map((reason) => this.reason(reason)));
    } catch (error) {
      this.say(error.message);
    }
    return undefined;
  }

  reason([part, layer, unit, nats]) {
    const button = element("button", "quiet", `${HOLDABLE.get(part).name} ${layer}.${unit}: ${signed(nats)}`);
    button.title = `Follow unit ${unit} of layer ${layer}`;
    button.addEventListener("click", () => this.cells.choose({ part, layer, unit }));
    return button;
  }

  /* The numbers of what is pointed at, or else of the unit that is followed, as it is heard. */
  read() {
    const { columns, part, unit } = this.cells;
    const { index } = this;
    const one = this.under(this.pointer)?.unit ?? unit;
    const byte = columns.values[index]?.[one];
    const { name, place: placed } = PARTS.find((shown) => shown.part === part);
    const value = () => (one === unit ? signed(columns.followed[index][placed]) : said(byte, part)); // exact where it is known
    const text = byte === undefined ? "" : `${columns.words[index]} · unit ${one} · ${name.toLowerCase()} ${value()}`;
    const line = this.find(".readout");
    if (line.textContent !== text) line.textContent = text;
    for (const { part: each, place } of PARTS) {
      const value = columns.followed[index]?.[place];
      this.find(`.key [data-part=${each}] b`).textContent = value === undefined ? "" : signed(value);
    }
  }
}
