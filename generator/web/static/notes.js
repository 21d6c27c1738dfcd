// Choosing a note of the piano roll, with the pointer or the arrow keys, to see what else could have stood there.

import { Choices, isStep, neighbour } from "./choices.js";
import { noteName } from "./names.js";
import { Redraw } from "./redraw.js";

const LEAD = 2; // seconds that are heard before a note that was chosen anew

export class Notes {
  constructor(stage, view) {
    this.stage = stage;
    this.view = view;
    this.choices = new Choices(stage);
    const { canvas } = view.roll;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    const keys = "Left and right go from note to note, with Shift they select bars; Enter shows what else could have come.";
    canvas.setAttribute("aria-label", `Piano roll. ${keys}`);
    this.redraw = new Redraw(stage, view); // first: it leaves what is not its own
    canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
      const isOver = Boolean(stage.live && view.roll.noteAt(offsetX, offsetY));
      canvas.style.cursor = isOver ? "pointer" : "";
      canvas.title = isOver ? "What else could have come?" : "";
    });
    canvas.addEventListener("click", ({ offsetX, offsetY }) => this.open(view.roll.noteAt(offsetX, offsetY)));
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("blur", () => !this.choices.card.matches(":popover-open") && this.pick(null));
  }

  begin() {
    this.pick(null);
    this.redraw.begin();
  }

  accept(chunk) {
    this.redraw.accept(chunk);
  }

  press(event) {
    const { roll } = this.view;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && roll.picked) this.open(roll.picked);
    else if (isStep(event.key)) {
      const heard = roll.notesInView().sort((a, b) => a[0] - b[0] || b[2] - a[2]);
      this.pick(neighbour(heard, heard.indexOf(roll.picked), event.key));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(note) {
    const { roll } = this.view;
    if (note !== roll.picked) roll.drawn = 0; // it is shown at once
    roll.picked = note;
    if (note) this.stage.find(".aloud").textContent = this.name(note);
  }

  escape() {
    const isPicked = Boolean(this.view.roll.picked);
    this.pick(null);
    return this.redraw.escape() || isPicked;
  }

  name([, , pitch, , voice]) {
    const { voices, roll } = this.view;
    const name = noteName(pitch, roll.sharps);
    return voices.length > 1 ? `${voices[voice].name} ${name}` : name;
  }

  open(note) {
    const { stage, view } = this;
    if (!note || !stage.live || stage.state === "starting") return;
    this.pick(note);
    const [start, , , , voice, pitch] = note;
    const { left, top } = view.roll.canvas.getBoundingClientRect();
    const { x, y } = view.roll.placeOf(note);
    this.choices.open({
      words: this.name(note),
      places: [{ at: Math.max(0, start), pitch, voice }],
      at: Math.max(0, start),
      hear: Math.max(0, Math.min(view.position, start - LEAD)),
      point: { x: left + x, y: top + y },
      opener: view.roll.canvas,
    });
  }

  close() {
    this.redraw.close();
    this.choices.close();
  }
}
