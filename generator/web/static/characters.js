// Choosing a character of the text, with the pointer or the arrow keys, to see what else could have come.

import { Choices, isStep, neighbour } from "./choices.js";
import { codePoints, graphemes } from "./graphemes.js";

const PICKED = "carousel-picked";
const MOST_PARTS = 4; // code points of one grapheme that are looked at
const SHAKE = 4; // pixels that the pointer may move in a click; more marks text

/* The blocks of what was typed, the primer's not: [{node, position, length}, …], counted in code points. */
export function blocksOf(view) {
  const found = [];
  let { position } = view;
  for (const block of [...view.page.children].reverse()) {
    if (block.className === "primer") break;
    const node = block.firstChild;
    const length = codePoints(node.data);
    position -= length + (found.length ? 1 : 0); // between two blocks there is the end of a line
    found.unshift({ node, position, length });
  }
  return found;
}

export class Characters {
  constructor(stage, view) {
    this.stage = stage;
    this.view = view;
    this.choices = new Choices(stage);
    this.position = null; // of the picked grapheme
    const { page } = view;
    page.addEventListener("pointerdown", ({ clientX, clientY }) => (this.pressed = [clientX, clientY]));
    page.addEventListener("click", ({ clientX, clientY }) => {
      const [x, y] = this.pressed ?? [clientX, clientY];
      if (Math.hypot(clientX - x, clientY - y) < SHAKE) this.open(this.at(clientX, clientY));
    });
    page.addEventListener("keydown", (event) => this.press(event));
    page.addEventListener("blur", () => !this.choices.card.matches(":popover-open") && this.pick(null));
  }

  begin() {
    this.pick(null);
  }

  /* The grapheme under a point of the window, if there is one. */
  at(x, y) {
    const contains = ({ left, right, top, bottom }) => left <= x && x < right && top <= y && y < bottom;
    const range = document.createRange();
    for (const { node, position } of blocksOf(this.view)) {
      if (![...node.parentElement.getClientRects()].some((box) => box.top <= y && y < box.bottom)) continue;
      let start = 0;
      for (const line of node.data.split("\n")) {
        range.setStart(node, start);
        range.setEnd(node, start + line.length);
        const { top, bottom } = range.getBoundingClientRect();
        for (const { segment, index } of top <= y && y < bottom ? graphemes(line) : []) {
          range.setStart(node, start + index);
          range.setEnd(node, start + index + segment.length);
          if ([...range.getClientRects()].some(contains)) {
            return { node, segment, index: start + index, position: position + codePoints(node.data.slice(0, start + index)) };
          }
        }
        start += line.length + 1;
      }
    }
    return undefined;
  }

  /* All graphemes of the block that has a position, and those of its neighbours' nearest lines. */
  near(position) {
    const blocks = blocksOf(this.view).filter(({ position: start, length }) => start <= position + 1 && position - 1 <= start + length);
    return blocks.flatMap(({ node, position: start }) => {
      let at = start;
      return graphemes(node.data).map(({ segment, index }) => {
        const found = { node, segment, index, position: at };
        at += codePoints(segment);
        return found;
      });
    });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !this.stage.live) return;
    if (event.key === "Enter" && this.position !== null) {
      this.open(this.near(this.position).find(({ position }) => position === this.position));
    } else if (isStep(event.key)) {
      const here = this.near(this.position ?? this.view.position);
      const at = here.findIndex(({ position }) => position === this.position);
      this.pick(neighbour(here, at, event.key));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(character) {
    this.position = character?.position ?? null;
    if (!globalThis.CSS?.highlights) return;
    CSS.highlights.delete(PICKED);
    if (!character) return;
    const range = rangeOf(character);
    CSS.highlights.set(PICKED, new Highlight(range));
    const { page } = this.view;
    const [box, frame] = [range.getBoundingClientRect(), page.getBoundingClientRect()];
    if (box.top < frame.top || box.bottom > frame.bottom) page.scrollTop += box.top - frame.top - frame.height / 2;
    this.stage.find(".aloud").textContent = wordFor(character.segment);
  }

  escape() {
    const isPicked = this.position !== null;
    this.pick(null);
    return isPicked;
  }

  open(character) {
    const { stage, view } = this;
    if (!character || !stage.live || stage.state === "starting") return;
    this.pick(character);
    const { left, width, top } = rangeOf(character).getBoundingClientRect();
    const { segment, position } = character;
    this.choices.open({
      words: wordFor(segment),
      places: [...segment].slice(0, MOST_PARTS).map((_, part) => ({ at: position + part })),
      at: position,
      hear: Math.min(position, view.position),
      point: { x: left + width / 2, y: top },
      opener: view.page,
    });
  }

  close() {
    this.pick(null);
    this.choices.close();
  }
}

function rangeOf({ node, index, segment }) {
  const range = document.createRange();
  range.setStart(node, index);
  range.setEnd(node, Math.min(node.length, index + segment.length));
  return range;
}

const wordFor = (segment) => ({ " ": "space", "\n": "new line" })[segment] ?? segment;
