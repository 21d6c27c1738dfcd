// The Memory page: what the cells and gates do while the music plays or the text types itself. Elsewhere it does nothing.

import { CellsPanel } from "./cells-panel.js";
import { colours } from "./colours.js";
import { Columns } from "./columns.js";
import { Held } from "./held.js";
import { Heatmap, channels, palette } from "./heatmap.js";
import { PARTS, drawLines } from "./lines.js";
import { GUTTER } from "./roll.js";
import { post } from "./server.js";
import { rowsOf } from "./units.js";

const RETRY_MS = 1000;
const APART_MS = 250; // between two requests
const MARGIN = 1.2; // seconds of columns that are asked for before they come into sight
const STILL_MS = 200; // between two frames while nothing moves

/**
 * Where a view's positions are on a canvas of a width at a moment: the play head, and the pixels of one second or character;
 * `rate` is how many of them pass in a second.
 * @typedef {(now: number, width: number, isStill: boolean) => { head: number, wide: number, rate: number }} Scale
 */

/* The parts of a view that show what is held, and what the units do. @param {Scale} scale @returns {any[]} */
export function watching(stage, view, scale) {
  const held = new Held(stage);
  return [held, new Cells(stage, view, held, scale)];
}

export class Cells {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {any} view
   * @param {Held} held
   * @param {Scale} scale
   */
  constructor(stage, view, held, scale) {
    this.stage = stage;
    this.view = view;
    this.held = held;
    this.scale = scale;
    this.isOn = false;
    this.columns = new Columns();
    this.part = "cell"; // that the heat map shows
    this.layer = 0;
    this.unit = 0; // that is followed
    this.which = "slowest"; // rows of the heat map
    /** @type {import("./units.js").Units | null} */
    this.units = null;
    this.cursor = -1; // the token that was chosen, as its position in tokens
    this.quietUntil = 0;
    this.failed = false; // whether the last request was refused
    this.drawn = 0; // when
    this.frames = 0;
    this.longest = 0; // milliseconds of a frame's drawing
  }

  /* From Python, at every run of a page: whether it is the page Memory. */
  prepare({ page }) {
    const isOn = page === "memory";
    if (isOn === this.isOn) {
      if (isOn) this.panel.lesson.show(); // another checkpoint may be chosen
      return;
    }
    this.isOn = isOn;
    if (isOn) this.turnOn();
    else this.turnOff();
  }

  turnOn() {
    if (!this.panel) {
      this.panel = new CellsPanel(this);
      this.heatmap = new Heatmap(this.panel.map);
      this.style = getComputedStyle(this.panel.element);
      this.still = matchMedia("(prefers-reduced-motion: reduce)");
    }
    this.panel.hide(false);
    const frame = (now) => {
      this.request = requestAnimationFrame(frame);
      if (this.moment === this.drawnAt && now - this.drawn < STILL_MS) return;
      this.drawnAt = this.moment;
      this.drawn = now;
      this.draw(this.moment);
    };
    this.request = requestAnimationFrame(frame);
    this.choose({});
  }

  turnOff() {
    cancelAnimationFrame(this.request);
    this.panel.hide(true);
    this.columns.clear();
  }

  begin() {
    this.columns.clear();
    this.units = null;
    this.cursor = -1;
  }

  /* What comes in the place of what was here is asked for anew. */
  accept({ from }) {
    if (this.isOn && from !== undefined) this.columns.takeBack(from);
  }

  tick() {
    if (!this.isOn || !this.stage.live) return;
    if (this.stage.goesOn) this.ask();
    this.panel.read();
  }

  /* The position that is heard or read now. */
  get moment() {
    return this.view.moment ?? this.view.position;
  }

  /* Choose what is shown, and ask for it from the first column in sight. */
  choose(choice) {
    Object.assign(this, choice);
    this.columns.clear();
    this.quietUntil = 0;
    this.show();
    this.tick();
  }

  show() {
    this.panel.show();
    if (this.units) this.heatmap.renew(rowsOf(this.units, this.layer, this.which, this.unit), this.palette());
    this.drawn = 0;
  }

  palette() {
    const { part, look } = this;
    if (!look) return new Uint8ClampedArray(1024);
    const inks = look.colours.map(channels);
    const { colour } = PARTS.find((one) => one.part === part);
    return palette(channels(look.paper(1)), inks[colour], part === "cell" ? inks[3] : null);
  }

  /* One request at a time: first for what is known of the units, then for the columns that come into sight. */
  async ask() {
    const { stage, columns, units } = this;
    const now = performance.now();
    if (this.isBusy || now < this.quietUntil) return;
    const { since, until, least } = this.sight();
    if (columns.length && columns.at.at(-1) < since) columns.clear(); // nobody looked meanwhile
    if (units && columns.length && columns.at.at(-1) >= least) return;
    this.isBusy = true;
    const { version } = columns;
    const whose = { visitor: stage.data.visitor, take: stage.live.take };
    try {
      if (!units) return this.know(await (await post("units", whose)).json());
      const { layer, unit, part } = this;
      const wanted = { since: columns.length ? columns.next : null, at: Math.max(0, since), until, layer, unit, part };
      const found = await (await post("columns", { ...whose, ...wanted })).json();
      if (version !== columns.version) return;
      if (found.at.length) columns.add(found);
      columns.forget(since);
      this.quietUntil = now + APART_MS;
      if (this.failed) this.panel.say("");
      this.failed = false;
    } catch (error) {
      this.quietUntil = now + RETRY_MS; // the music goes on without
      this.failed = error.final && !error.gone;
      if (this.failed) this.panel.say(error.message);
    } finally {
      this.isBusy = false;
    }
  }

  /* The first position in sight, up to where columns are asked for, and up to where they have to be here. */
  sight() {
    const { position, horizon } = this.view;
    const width = this.panel.map.clientWidth;
    const { head, wide, rate } = this.scale(position, width, this.still.matches);
    const last = position + (width - head) / wide;
    return {
      since: position - (head - GUTTER) / wide - rate,
      until: Math.min(last + rate * MARGIN, horizon),
      least: Math.min(last, horizon - rate * MARGIN),
    };
  }

  /* What is known of the units of this checkpoint. */
  know(units) {
    this.units = units;
    this.layer = Math.min(this.layer, units.layers - 1);
    if (!this.unit || this.unit >= units.units) this.unit = this.slowest(this.layer);
    this.panel.know(units);
    this.choose({});
  }

  /* The slowest unit of a layer; 0 as long as the units are not known. */
  slowest(layer) {
    return this.units && layer < this.units.layers ? rowsOf(this.units, layer, "slow first")[0] : 0;
  }

  draw(now) {
    const begun = performance.now();
    const { columns, unit } = this;
    const { map, lines, pointed: cursor } = this.panel;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [map, lines]) {
      const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
      if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    }
    if (!map.width || !map.height) return;
    const look = colours(map.getContext("2d"), this.style);
    if (look.theme !== this.look?.theme) {
      this.look = look;
      this.panel.tint(look);
      this.show();
    }
    const width = map.clientWidth;
    const { head, wide } = this.scale(now, width, this.still.matches);
    const x = (position) => head + (position - now) * wide;
    this.positionAt = (pixel) => now + (pixel - head) / wide;
    const view = { columns, x, now, head, unit, cursor, look: this.look, width, ratio };
    this.heatmap.draw({ ...view, height: map.clientHeight });
    drawLines(lines, { ...view, height: lines.clientHeight });
    this.frames += 1;
    this.longest = Math.max(this.longest, performance.now() - begun);
  }

  close() {
    cancelAnimationFrame(this.request);
    this.isOn = false;
  }

  get report() {
    const { isOn, columns, frames, longest, part, layer, unit, held } = this;
    const last = columns.at.at(-1) ?? null;
    return { cells: isOn ? { columns: columns.length, last, frames, longest, part, layer, unit } : null, clamps: held.clamps };
  }
}
