// A lesson of five steps: read, predict, hold something, and see or hear whether it was so.

import { able, onPress, quiet } from "./buttons.js";
import { read } from "./clamps.js";
import { element, made } from "./elements.js";

const CLOSING = " That was the last step. What a gate lets in, keeps and shows is all that the network remembers by: hold another unit, and see what it is for.";
const CONTENT = `
  <h2>Lesson: hold a gate, and hear what it does</h2>
  <div class="steps" role="group" aria-label="Steps"></div>
  <h3></h3>
  <p class="whose" hidden></p>
  <p class="words"></p>
  <fieldset><legend></legend></fieldset>
  <div class="doing"><button class="do"></button></div>
  <p class="answer" role="status"></p>`;

/**
 * @typedef {{ title: string, text: string, show: any, question: string, choices: string[], right: number, action: string,
 *   then?: any, clamp: string, answer: string }} Step
 */

export class Lesson {
  /**
   * @param {import("./cells.js").Cells} cells
   * @param {import("./held.js").Holding} holding
   */
  constructor(cells, holding) {
    this.cells = cells;
    this.holding = holding;
    /** @type {Step[]} */
    this.steps = [];
    this.at = 0;
    this.predicted = null; // the choice for the present step
    this.element = made(CONTENT, "lesson");
    this.doing = this.find(".do");
    onPress(this.doing, () => this.act());
    this.reveal = quiet("reveal", "Show the answer", "", () => this.answer());
    this.next = quiet("next", "", "", () => this.go((this.at + 1) % this.steps.length));
    this.doing.after(this.reveal, this.next);
    cells.held.listeners.push(() => this.show());
    this.load();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /* The lesson for what this page plays. */
  async load() {
    try {
      const answer = await fetch(new URL("lessons.json", import.meta.url));
      const { checkpoint, steps } = (await answer.json())[this.cells.view.title.toLowerCase()];
      this.checkpoint = checkpoint;
      this.steps = steps;
    } catch {
      this.find(".words").textContent = "The lesson did not come; load the page again.";
      return;
    }
    this.find(".steps").replaceChildren(
      ...this.steps.map(({ title }, index) => {
        const button = quiet("", String(index + 1), title, () => this.go(index));
        button.setAttribute("aria-label", `Step ${index + 1}: ${title}`);
        return button;
      }),
    );
    this.go(0);
  }

  /* To another step; what the last one held is free again. */
  go(at) {
    if (this.isHolding) this.cells.held.ask([]);
    Object.assign(this, { at, predicted: null, isDone: false, isAnswered: false });
    const step = this.steps[at];
    for (const [index, button] of [...this.find(".steps").children].entries()) {
      if (index === at) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    }
    this.find("h3").textContent = `${at + 1}. ${step.title}`;
    this.find(".words").textContent = step.text;
    this.find("legend").textContent = `${step.question} First say what you expect.`;
    this.find("fieldset").replaceChildren(this.find("legend"), ...step.choices.map((words, choice) => this.choice(words, choice)));
    this.find(".answer").replaceChildren();
    this.doing.textContent = step.action;
    this.cells.choose({ unit: this.cells.slowest(step.show.layer), ...step.show });
  }

  choice(words, choice) {
    const label = element("label", "", ` ${words}`);
    const input = Object.assign(element("input"), { type: "radio", name: "carousel-prediction" });
    input.addEventListener("change", () => {
      this.predicted = choice;
      this.show();
    });
    label.prepend(input);
    return label;
  }

  show() {
    const { stage } = this.cells;
    able(this.doing, this.predicted !== null && !this.isDone);
    this.reveal.hidden = !this.isDone || this.isAnswered;
    this.next.hidden = !this.isAnswered;
    const on = this.at + 1 < this.steps.length ? "On to the next step" : "Begin again";
    this.next.textContent = this.isHolding ? `Let go. ${on}` : on;
    const line = this.find(".whose");
    const name = stage.data?.checkpoint;
    line.hidden = !this.checkpoint || name === this.checkpoint;
    line.textContent = `The text and the answers are about the checkpoint ${this.checkpoint}. You have chosen ${name}, which may do otherwise.`;
  }

  /* Whether something is held that this step held. */
  get isHolding() {
    return this.isDone && Boolean(this.steps[this.at].clamp) && this.cells.held.clamps.length > 0;
  }

  /* Do what the step says, and let the row Hold be about what is held. The answer waits until it is asked for. */
  act() {
    const { cells } = this;
    const step = this.steps[this.at];
    if (!cells.stage.goesOn) {
      this.find(".answer").textContent = "Press Start first.";
      return;
    }
    this.isDone = true;
    if (step.clamp) {
      const clamps = read(step.clamp);
      const [{ layer, unit }] = clamps;
      cells.choose(unit === null ? { layer } : { layer, unit });
      this.holding.turnTo(clamps[0]);
      cells.held.ask(clamps);
    } else cells.choose(step.then);
    for (const input of this.element.querySelectorAll("fieldset input")) input.disabled = true;
    this.find(".answer").textContent = step.clamp ? "Listen, and look." : "Look at the map.";
    this.show();
  }

  answer() {
    const { choices, right, answer } = this.steps[this.at];
    const verdict = element("b", "", verdictOf(choices, this.predicted, right));
    this.find(".answer").replaceChildren(verdict, ` ${answer}${this.at + 1 < this.steps.length ? "" : CLOSING}`);
    this.isAnswered = true;
    this.show();
    this.next.focus();
  }
}

/* What was expected, and whether it was so. */
export function verdictOf(choices, predicted, right) {
  return `You expected: ${choices[predicted]}. ${predicted === right ? "That was right." : "It was otherwise."}`;
}
