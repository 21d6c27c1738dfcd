// Bars of the roll that are drawn again: selected with the pointer or with Shift and the arrow keys, then a small card.

import { isStep } from "./choices.js";
import { element } from "./elements.js";
import { barsOf, extent, step } from "./selection.js";

const LEAD = 2; // seconds that are heard before the first bar
const DRAG = 8; // pixels that the pointer moves before it selects
const MARGIN = 8; // pixels from the card to the edge of the window
const CANDIDATES = [1, 4, 8];
const MOST_SECONDS = 40; // of bars at once
const ABOUT = "All else stays as it is, what follows too. The likeliest one is taken. Branches leads back.";

export class Redraw {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {any} view
   */
  constructor(stage, view) {
    this.stage = stage;
    this.view = view;
    this.selection = null; // {anchor, focus}, moments in the first and the last bar of it
    this.left = new Set(); // the voices that stay, by their names
    this.candidates = CANDIDATES[1];
    this.card = element("div", "redraw");
    this.card.popover = "auto";
    this.card.setAttribute("role", "dialog");
    this.card.setAttribute("aria-label", "Draw again");
    stage.root.querySelector("section").append(this.card);
    const { canvas } = view.roll;
    this.card.addEventListener("toggle", ({ newState }) => {
      const isLost = document.activeElement === document.body || this.card.contains(stage.root.activeElement);
      if (newState === "closed" && isLost) canvas.focus({ preventScroll: true });
    });
    // Before those who choose single notes: a drag and a key with Shift are not theirs.
    canvas.addEventListener("pointerdown", (event) => this.press(event), true);
    canvas.addEventListener("pointermove", (event) => this.drag(event), true);
    canvas.addEventListener("click", (event) => this.release(event), true);
    canvas.addEventListener("pointercancel", () => (this.pressed = null));
    canvas.addEventListener("keydown", (event) => this.key(event), true);
  }

  get bars() {
    return barsOf(this.view.roll.bars.map(([at]) => at));
  }

  press({ button, offsetX, pointerId }) {
    const { roll } = this.view;
    this.dragged = false;
    this.pressed = button || !roll.secondsAt ? null : { x: offsetX, at: roll.secondsAt(offsetX), pointerId };
  }

  drag({ buttons, offsetX }) {
    const { pressed } = this;
    if (!pressed || !(buttons & 1) || (!this.dragged && Math.abs(offsetX - pressed.x) < DRAG) || !this.bars.length) return;
    if (!this.dragged) this.view.roll.canvas.setPointerCapture(pressed.pointerId);
    this.dragged = true;
    this.select({ anchor: pressed.at, focus: this.view.roll.secondsAt(offsetX) });
  }

  /* A drag has ended, or a click with Shift makes the selection reach to a bar. */
  release(event) {
    const { roll } = this.view;
    this.pressed = null;
    if (event.shiftKey && !this.dragged && this.bars.length) {
      const focus = roll.secondsAt(event.offsetX);
      this.select({ anchor: this.selection?.anchor ?? focus, focus });
    } else if (!this.dragged) {
      this.select(null);
      return;
    }
    this.dragged = false;
    event.stopImmediatePropagation();
    this.open();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && isStep(event.key)) {
      this.select(step(this.bars, this.selection, event.key === "ArrowLeft" ? -1 : 1, this.view.position));
      this.stage.find(".aloud").textContent = this.words();
    } else if (event.key === "Enter" && this.selection) this.open();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  select(selection) {
    const { roll } = this.view;
    this.selection = selection;
    roll.selected = extent(this.bars, selection);
    roll.drawn = 0; // it is shown at once
  }

  /* What is selected, such as `Bars 5 to 8`. */
  words() {
    const { bars, selected } = this.view.roll;
    if (!selected) return "No bars yet";
    const inside = bars.filter(([at]) => selected[0] <= at && at < selected[1]).map(([, number]) => number);
    const [first, last] = [inside[0], inside.at(-1)];
    return first === last ? `Bar ${first}` : `Bars ${first} to ${last}`;
  }

  open() {
    const { stage, view, card } = this;
    const { selected } = view.roll;
    if (!selected || !stage.live || stage.state === "starting") return;
    const words = this.words();
    const [from, until] = selected;
    const again = element("button", "again", "Draw again");
    const best = element("select");
    best.ariaLabel = "Best of";
    best.append(...CANDIDATES.map((count) => new Option(count === 1 ? "the first one" : `the best of ${count}`, String(count))));
    best.value = String(this.candidates);
    best.addEventListener("change", () => (this.candidates = Number(best.value)));
    again.addEventListener("click", () => again.ariaDisabled !== "true" && this.ask(words, from, until));
    const refused = this.refused(from, until);
    if (refused) again.ariaDisabled = "true";
    const voices = this.voices(again, refused);
    const row = element("div", "row");
    row.append(best, again);
    card.replaceChildren(element("h2", "", words), voices, row, element("p", "about", refused || ABOUT));
    this.show(from, until);
    again.focus();
  }

  /* Why these bars cannot be drawn again; empty if they can. */
  refused(from, until) {
    if (this.view.roll.ends.some((at) => from < at && at < until)) return "A piece ends between these bars; select bars of one piece.";
    return until - from > MOST_SECONDS ? "These are too many bars at once; select fewer." : "";
  }

  /* The voices that can be drawn again: all but the drummer's, who comes last. */
  get drawn() {
    return this.view.voices.filter(({ beside }) => !beside);
  }

  /* A box for each voice: what is ticked is drawn again. */
  voices(again, refused) {
    const box = element("div", "who");
    const names = this.drawn.map(({ name }) => name);
    box.hidden = names.length < 2;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Voices to draw again");
    for (const name of names) {
      const label = element("label", "", ` ${name}`);
      const input = Object.assign(element("input"), { type: "checkbox", checked: !this.left.has(name) });
      input.addEventListener("change", () => {
        this.left[input.checked ? "delete" : "add"](name);
        again.ariaDisabled = String(Boolean(refused) || names.every((one) => this.left.has(one)));
      });
      label.prepend(input);
      box.append(label);
    }
    if (names.every((one) => this.left.has(one))) this.left.clear();
    return box;
  }

  /* Above or below the middle of the bars, within the window. */
  show(from, until) {
    const { card } = this;
    const { roll } = this.view;
    if (!card.matches(":popover-open")) card.showPopover();
    const { left, top, bottom } = roll.canvas.getBoundingClientRect();
    const { width, height } = card.getBoundingClientRect();
    const middle = left + (roll.x(from) + roll.x(until)) / 2;
    const inside = (value, most) => Math.max(MARGIN, Math.min(value, most - MARGIN));
    card.style.left = `${inside(middle - width / 2, innerWidth - width)}px`;
    card.style.top = `${inside(top - height - MARGIN > 0 ? top - height - MARGIN : bottom + MARGIN, innerHeight - height)}px`;
  }

  ask(words, from, until) {
    const { stage, view, candidates } = this;
    const voices = this.drawn.map((_, index) => index).filter((index) => !this.left.has(view.voices[index].name));
    const at = Math.max(0, Math.min(view.position, from - LEAD));
    const seed = Math.floor(Math.random() * 2 ** 32);
    this.card.hidePopover();
    const who = this.left.size ? `, ${voices.map((index) => view.voices[index].name).join(" and ")}` : "";
    stage.wait("redraw", { from, until, voices, count: candidates, seed, at }, { about: `${words} again${who}`, at: from });
    this.isAsked = true;
    stage.say(`${words}: ${candidates === 1 ? "drawing" : `the best of ${candidates} is sought`} …`);
  }

  begin() {
    if (this.isAsked) this.stage.say("");
    this.isAsked = false;
    this.select(null);
  }

  /* Bars that come in the place of others are not those that were selected. */
  accept({ from }) {
    if (from !== undefined && this.view.roll.selected?.[1] > from) this.select(null);
  }

  escape() {
    const isSelected = Boolean(this.selection);
    this.select(null);
    return isSelected;
  }

  close() {
    this.card.remove();
  }
}
