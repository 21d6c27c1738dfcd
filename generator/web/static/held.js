// What is held of the units, below the buttons on every page, with a button to let go; and how the server is told.

import { quiet } from "./buttons.js";
import { HOLDABLE, put, read, same, without, words, write } from "./clamps.js";
import { element, made } from "./elements.js";
import { post } from "./server.js";

const APART_MS = 120; // between two requests while a slider moves

export class Held {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {import("./clamps.js").Clamp[]} */
    this.clamps = []; // as they were asked for last
    this.wanted = null; // the text that is not heard yet
    this.listeners = [];
    this.row = made('<span class="title">Held</span><ul></ul>', "held");
    this.row.setAttribute("role", "group");
    this.row.setAttribute("aria-label", "What is held of the units");
    this.row.append(quiet("release", "Let go of all", "The units are free again", () => this.ask([])));
    stage.find(".bar").after(this.row);
    this.show();
  }

  begin() {
    this.wanted = null;
    this.set([]);
  }

  /* What the stream holds, unless something else was asked for meanwhile. */
  accept({ options }) {
    const now = write(read(options.clamp));
    if (this.wanted === now) this.wanted = null;
    if (this.wanted === null && now !== write(this.clamps)) this.set(read(options.clamp));
  }

  hold(clamp) {
    return this.ask(put(this.clamps, clamp));
  }

  letGo(clamp) {
    return this.ask(without(this.clamps, clamp));
  }

  /* The value at which something is held; undefined if it is free. */
  valueOf(clamp) {
    return same(this.clamps, clamp)?.value;
  }

  set(clamps) {
    this.clamps = clamps;
    this.show();
  }

  /* Hold these and nothing else, from just behind what is heard. */
  async ask(clamps) {
    const { stage } = this;
    if (!stage.live || !stage.goesOn) return stage.say("Press Start first; then hold it while it plays.");
    this.set(clamps);
    this.wanted = write(clamps);
    if (this.isBusy) return undefined;
    this.isBusy = true;
    try {
      let sent;
      while (sent !== this.wanted && this.wanted !== null) {
        sent = this.wanted;
        const answer = await post("clamp", { visitor: stage.data.visitor, take: stage.live.take, clamp: sent });
        stage.changes = (await answer.json()).changes;
        stage.pulls.urgent = true;
        stage.tick();
        await new Promise((done) => setTimeout(done, APART_MS));
      }
    } catch (error) {
      this.wanted = null;
      this.set(read(stage.options?.clamp));
      stage.say(error.message);
    } finally {
      this.isBusy = false;
    }
    return undefined;
  }

  show() {
    const { row, clamps } = this;
    row.hidden = clamps.length === 0;
    row.querySelector("ul").replaceChildren(
      ...clamps.map((clamp) => {
        const item = element("li", "", `${words(clamp)} `);
        const button = quiet("", "✕", `Let go: ${words(clamp)}`, () => this.letGo(clamp));
        button.setAttribute("aria-label", button.title);
        item.append(button);
        return item;
      }),
    );
    for (const listener of this.listeners) listener();
  }
}

/* The controls that hold one part of the unit or of the layer that is chosen: a choice, a slider and buttons. */
export class Holding {
  /**
   * @param {Held} held
   * @param {() => { layer: number, unit: number }} chosen
   */
  constructor(held, chosen) {
    this.held = held;
    this.chosen = chosen;
    const parts = [...HOLDABLE].map(([part, { name }]) => `<option value="${part}">${name}</option>`);
    this.element = made(
      `<label>Hold the <select aria-label="Hold which part">${parts.join("")}</select></label>
       <label>of <select class="whose" aria-label="Of which units"><option value="layer"></option><option value="unit"></option></select></label>
       <label>at <input type="range" step="0.01" aria-label="Held at"><output>free</output></label>
       <span class="presets"></span>`,
      "holding",
    );
    const [part, whose] = this.element.querySelectorAll("select");
    this.part = part;
    this.whose = whose;
    this.slider = this.element.querySelector("input");
    this.free = quiet("free", "Let go", "Free again", () => held.letGo(this.target));
    for (const select of [this.part, this.whose]) select.addEventListener("change", () => this.show());
    this.slider.addEventListener("input", () => this.at(Number(this.slider.value)));
    held.listeners.push(() => this.show());
    this.show();
  }

  get target() {
    const { layer, unit } = this.chosen();
    return { part: this.part.value, layer, unit: this.whose.value === "unit" ? unit : null, value: 0 };
  }

  /* Be about the part that a clamp holds, of the unit or the whole layer that was chosen. */
  turnTo({ part, unit }) {
    this.part.value = part;
    this.whose.value = unit === null ? "layer" : "unit";
    this.show();
  }

  at(value) {
    return this.held.hold({ ...this.target, value });
  }

  show() {
    const { low, high, presets } = HOLDABLE.get(this.part.value);
    const { layer, unit } = this.chosen();
    this.whose.options[0].textContent = `all of layer ${layer}`;
    this.whose.options[1].textContent = `unit ${unit} of layer ${layer}`;
    const value = this.held.valueOf(this.target);
    Object.assign(this.slider, { min: String(low), max: String(high) });
    this.slider.value = String(value ?? (low + high) / 2);
    const said = value === undefined ? "free" : String(Number(value.toFixed(2)));
    this.element.querySelector("output").textContent = said;
    this.slider.setAttribute("aria-valuetext", said);
    this.free.hidden = value === undefined;
    if (this.shown === this.part.value) return;
    this.shown = this.part.value;
    const buttons = presets.map(([name, at]) => quiet("", name, `Hold it at ${at}`, () => this.at(at)));
    this.element.querySelector(".presets").replaceChildren(...buttons, this.free);
  }
}
