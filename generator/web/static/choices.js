// What else could have come: a small card with the alternatives and their probabilities; a click goes on from another one.

import { element } from "./elements.js";
import { post } from "./server.js";

const ABOUT =
  "Choose another one, and it goes on from there. Filled, with its number: how likely with your settings. The line, or a number in brackets: to the model alone.";
const MARGIN = 8; // pixels to the edge of the window
const STEPS = { ArrowDown: 1, ArrowUp: -1 };
const SIDES = { ArrowLeft: -1, ArrowRight: 1 };

/* Whether a key goes from one thing of the view to the next. */
export const isStep = (key) => key in SIDES;

/* The thing beside the one at a place of a list, the last one if the place is none; null without any. */
export function neighbour(things, at, key) {
  const next = at < 0 ? things.length - 1 : Math.max(0, Math.min(at + SIDES[key], things.length - 1));
  return things[next] ?? null;
}

/* A probability in words: 41 %, 0.3 %, or under 0.1 %. */
function percent(share) {
  if (share === 0) return "0 %";
  if (share < 0.001) return "< 0.1 %";
  return share < 0.0995 ? `${(100 * share).toFixed(1)} %` : `${Math.round(100 * share)} %`;
}

export class Choices {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.card = element("div", "choices");
    this.card.popover = "auto"; // a click elsewhere and Escape close it
    this.card.setAttribute("role", "dialog");
    this.card.setAttribute("aria-label", "What else could have come");
    this.card.addEventListener("keydown", (event) => this.step(event));
    this.card.addEventListener("beforetoggle", ({ newState }) => {
      if (newState === "closed") this.asked = null; // an answer that comes later does not open it again
    });
    this.card.addEventListener("toggle", ({ newState }) => {
      const isLost = document.activeElement === document.body || this.card.contains(stage.root.activeElement);
      if (newState === "closed" && isLost) this.opener.focus({ preventScroll: true });
    });
    stage.root.querySelector("section").append(this.card);
  }

  /* Show the alternatives to something. It is named by `words`; `places` say where it is, `hear` from when a choice is
     heard, and `point` where to show the card, in the window; `opener` gets the focus when it closes. */
  async open({ words, places, at, hear, point, opener }) {
    const { stage, card } = this;
    this.opener = opener;
    const { live } = stage;
    const asked = (this.asked = {});
    card.replaceChildren(element("h2", "", words), element("p", "about", "Looking …"));
    this.show(point);
    try {
      const decisions = [];
      for (const place of places) {
        const answer = await post("alternatives", { visitor: stage.data.visitor, take: live.take, pitch: 0, voice: 0, ...place });
        decisions.push(...(await answer.json()));
      }
      if (this.asked !== asked || stage.live !== live) return;
      this.fill(words, decisions, (choice, came) => {
        card.hidePopover();
        const about = came ? `${choice.words} for ${came.words}` : choice.words;
        stage.wait("choose", { position: choice.position, token: choice.token, at: hear }, { about, at });
      });
      this.show(point);
    } catch (error) {
      if (this.asked === asked) card.querySelector(".about").textContent = error.message;
    }
  }

  fill(words, decisions, choose) {
    const { card } = this;
    const tabs = element("div", "tabs");
    const list = element("ul");
    const show = ({ name, position, choices }) => {
      for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.textContent === name));
      list.setAttribute("aria-label", name);
      const came = choices.find((choice) => choice.came);
      list.replaceChildren(...choices.map((choice) => row(choice, () => choose({ ...choice, position }, came))));
    };
    tabs.setAttribute("role", "group");
    tabs.setAttribute("aria-label", "What to change");
    for (const decision of decisions) {
      const tab = element("button", "quiet", decision.name);
      tab.addEventListener("click", () => show(decision));
      tabs.append(tab);
    }
    tabs.hidden = decisions.length < 2;
    const about = element("p", "about", ABOUT);
    card.replaceChildren(element("h2", "", words), tabs, list, about);
    show(decisions[0]);
    list.querySelector("button:not([aria-disabled])")?.focus();
  }

  /* Within the window, above or below the point. */
  show({ x, y }) {
    const { card } = this;
    if (!card.matches(":popover-open")) card.showPopover();
    const { width, height } = card.getBoundingClientRect();
    const inside = (value, most) => Math.max(MARGIN, Math.min(value, most - MARGIN));
    card.style.left = `${inside(x - width / 2, innerWidth - width)}px`;
    card.style.top = `${inside(y - height - 14 > 0 ? y - height - 14 : y + 18, innerHeight - height)}px`;
  }

  /* Up and down the list. */
  step(event) {
    if (!(event.key in STEPS)) return;
    const buttons = [...this.card.querySelectorAll("li button")];
    const at = buttons.indexOf(this.stage.root.activeElement);
    buttons[(at + STEPS[event.key] + buttons.length) % buttons.length]?.focus();
    event.preventDefault();
  }

  close() {
    this.asked = null;
    this.card.remove();
  }
}

function row({ words, probability, plain, came }, choose) {
  const item = element("li");
  const button = element("button", came ? "came" : "");
  const share = element("span", "share");
  share.style.setProperty("--probability", probability);
  share.style.setProperty("--plain", plain);
  const number = probability ? percent(probability) : `(${percent(plain)})`; // in brackets what the settings rule out
  button.append(element("bdi", "words", words), share, element("span", "percent", number));
  button.title = `${percent(probability)} with your settings, ${percent(plain)} by the model alone`;
  button.setAttribute("aria-label", `${words}, ${percent(probability)}${came ? ", as it came" : ""}`);
  if (came) button.setAttribute("aria-disabled", "true");
  else button.addEventListener("click", choose);
  item.append(button);
  return item;
}
