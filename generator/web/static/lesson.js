// A lesson of five steps: read, predict, hold something, and see or hear whether it was so.

import { able, onPress, quiet } from "./buttons.js";
import { read } from "./clamps.js";
import { element, made } from "./elements.js";

const LISTEN_MS = 4000; // between what is done and its answer
const CONTENT = `
  <h2>Lesson: hold a gate, and hear what it does</h2>
  <p class="whose" hidden></p>
  <div class="steps" role="group" aria-label="Steps"></div>
  <h3></h3>
  <p class="words"></p>
  <fieldset><legend></legend></fieldset>
  <div class="doing"><button class="do"></button></div>
  <p class="answer" role="status"></p>`;

/**
 * @typedef {{ title: string, text: string, show: any, question: string, choices: string[], right: number, action: string,
 *   then?: any, clamp: string, answer: string }} Step
 */

export class Lesson {
  /** @param {import("./cells.js").Cells} cells */
  constructor(cells) {
    this.cells = cells;
    /** @type {Step[]} */
    this.steps = [];
    this.at = 0;
    this.predicted = null; // the choice for the present step
    this.element = made(CONTENT, "lesson");
    this.doing = this.find(".do");
    onPress(this.doing, () => this.act());
    this.next = quiet("next", "", "", () => this.go((this.at + 1) % this.steps.length));
    this.doing.after(this.next);
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
    clearTimeout(this.timer);
    Object.assign(this, { at, predicted: null, isHolding: false });
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
    this.next.textContent = at + 1 < this.steps.length ? "Let go, and on" : "Let go, and begin again";
    this.next.hidden = true;
    this.cells.choose(step.show);
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
    able(this.doing, this.predicted !== null && this.steps.length > 0);
    const line = this.find(".whose");
    const name = stage.data?.checkpoint;
    line.hidden = !this.checkpoint || name === this.checkpoint;
    line.textContent = `The answers are about the checkpoint ${this.checkpoint}. You have chosen ${name}, which may do otherwise.`;
  }

  /* Do what the step says. The answer comes when there was time to look or listen. */
  act() {
    const { cells } = this;
    const step = this.steps[this.at];
    if (!cells.stage.goesOn) {
      this.find(".answer").textContent = "Press Start first.";
      return;
    }
    if (step.clamp) {
      this.isHolding = true;
      cells.held.ask(read(step.clamp));
    } else cells.choose(step.then);
    for (const input of this.element.querySelectorAll("fieldset input")) input.disabled = true;
    able(this.doing, false);
    this.find(".answer").textContent = step.clamp ? "Listen, and look …" : "Look …";
    const { predicted } = this;
    this.timer = setTimeout(() => {
      const isRight = predicted === step.right;
      const verdict = element("b", "", isRight ? "As you expected. " : `You expected: ${step.choices[predicted]}. `);
      this.find(".answer").replaceChildren(verdict, step.answer);
      this.next.hidden = false;
    }, LISTEN_MS);
  }
}
