// How surprising each character was to the model, as a tint behind it. Nothing is asked of the server while this is off.

import { blocksOf } from "./characters.js";
import { made } from "./elements.js";
import { codePoints, graphemes } from "./graphemes.js";
import { post } from "./server.js";

const AT_ONCE = 2000; // characters of which the server is asked; older ones get no tint
const RETRY_MS = 1000;
const LEVELS = [1 / 3, 1 / 10, 1 / 100].map((probability) => -Math.log(probability)); // nats
const LEGEND = [
  ["expected", "over 33 %", 0],
  ["less so", "10 to 33 %", 16],
  ["surprising", "1 to 10 %", 32],
  ["very surprising", "under 1 %", 44],
];
const nameOf = (level) => `carousel-surprise-${level}`;

export class Surprise {
  constructor(stage, view) {
    this.stage = stage;
    this.view = view;
    const items = LEGEND.map(([word, share, strength]) => `<li><b style="--strength: ${strength}%">${word}</b> ${share}</li>`);
    const element = made(`<ul aria-label="How likely the model took each character to be">${items.join("")}</ul>`, "surprise");
    if (globalThis.CSS?.highlights) this.panel = { name: "Surprise", element, toggled: (isOn) => this.turn(isOn) };
    this.begin();
  }

  turn(isOn) {
    this.isOn = isOn;
    this.begin();
  }

  /* With another text, or anew. */
  begin() {
    this.nats = []; // of the characters from `low` on
    this.low = null;
    this.painted = 0; // up to this position
    this.version = (this.version ?? 0) + 1;
    for (let level = 1; level < LEGEND.length; level++) globalThis.CSS?.highlights?.delete(nameOf(level));
  }

  /* What comes in the place of what was here is tinted anew. */
  accept({ from }) {
    if (from !== undefined) this.begin();
  }

  tick() {
    if (!this.isOn || !this.stage.live) return;
    this.ask();
    this.paint();
  }

  async ask() {
    const { stage, view, version } = this;
    const [first] = blocksOf(view);
    this.low ??= Math.max(first?.position ?? view.position, view.position - AT_ONCE / 2);
    const since = this.low + this.nats.length;
    const until = Math.min(view.horizon, since + AT_ONCE);
    if (this.isBusy || until <= since || !stage.goesOn || performance.now() < (this.quietUntil ?? 0)) return;
    this.isBusy = true;
    try {
      const answer = await post("surprises", { visitor: stage.data.visitor, take: stage.live.take, since, until });
      const nats = await answer.json();
      if (version === this.version) this.nats.push(...nats);
    } catch {
      this.quietUntil = performance.now() + RETRY_MS; // the text goes on without
    } finally {
      this.isBusy = false;
    }
  }

  /* Tint what has been typed since the last time. */
  paint() {
    const { view, low, nats } = this;
    const known = Math.min(view.position, low + nats.length);
    const since = Math.max(this.painted, low);
    if (known <= since) return;
    for (const { node, position, length } of blocksOf(view)) {
      if (position + length <= since || position >= known) continue;
      let at = Math.max(position, since);
      const skipped = [...node.data].slice(0, at - position).join("").length;
      for (const { segment, index } of graphemes(node.data.slice(skipped))) {
        const next = at + codePoints(segment);
        if (next > known) break;
        const total = nats.slice(at - low, next - low).reduce((sum, one) => sum + one, 0);
        this.tint(LEVELS.filter((least) => total > least).length, node, skipped + index, segment.length);
        at = next;
      }
    }
    this.painted = known;
  }

  tint(level, startContainer, startOffset, length) {
    if (!level) return;
    const name = nameOf(level);
    if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
    const highlight = CSS.highlights.get(name);
    highlight.add(new StaticRange({ startContainer, startOffset, endContainer: startContainer, endOffset: startOffset + length }));
    // The page forgets its oldest blocks, and so do the tints.
    for (const range of highlight) {
      if (range.startContainer.isConnected) break;
      highlight.delete(range);
    }
  }

  close() {
    this.isOn = false;
    this.begin();
  }
}
