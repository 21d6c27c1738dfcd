// Text: characters are typed at a rate that can be read, from a buffer that is kept a little ahead.

import { Branches } from "./branches.js";
import { watching } from "./cells.js";
import { Characters } from "./characters.js";
import { typable } from "./graphemes.js";
import { mounts } from "./mount.js";
import { Surprise } from "./surprise.js";

const BLOCK = 2000; // characters; a new block begins at the next line
const BLOCKS = 30; // the page forgets what is further back
const NEAR = 48; // pixels from the end at which the page follows the text
const TYPE_MS = 33;
const AHEAD = 8; // characters to the right of the play head, where one sees what the units do
const STEP = 24; // characters by which these columns go on where motion is not wanted
const SPEEDS = [5, 10, 20, 40, 80, 160, 320, 640];

class Text {
  title = "Text";
  soFar = "What has been written";
  first = 64;

  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.element = document.createElement("div");
    this.element.className = "text";
    this.element.innerHTML =
      '<div class="page" tabindex="0" role="log" aria-live="off" aria-label="Text. Left and right go from character to character; Enter shows what else could have come." data-hint="Press Start. The text is written while you read."></div><button class="follow" hidden>↓ Follow</button>';
    this.page = this.element.querySelector(".page");
    this.back = this.element.querySelector("button");
    this.following = true;
    this.top = 0; // where the page was last scrolled to
    this.page.addEventListener("scroll", () => {
      this.following = this.page.scrollTop + this.page.clientHeight >= this.page.scrollHeight - NEAR;
      this.top = this.page.scrollTop;
      this.back.hidden = this.following;
    });
    this.back.addEventListener("click", () => this.follow(true));
    this.speed = SPEEDS[3];
    this.controls = [this.speedSlider()];
    const scale = (now, width, isStill) => this.scaleAt(now, width, isStill);
    this.parts = [new Characters(stage, this), new Surprise(stage, this), new Branches(stage), ...watching(stage, this, scale)];
    this.reset();
    this.timer = setInterval(() => this.type(), TYPE_MS);
  }

  reset() {
    this.waiting = []; // code points that are not typed yet
    this.position = 0;
    this.due = 0; // characters that time allows, with their fraction
    this.horizon = 0;
    this.ended = false;
    this.running = false;
    this.firstSound = null;
    this.page.replaceChildren();
    this.block = null;
  }

  words = (characters) => `${characters.toLocaleString("en")} characters`;

  get ahead() {
    return 8 * this.speed;
  }

  /* The position between two characters that time has come to. */
  get moment() {
    const elapsed = this.running && this.waiting.length ? (performance.now() - this.last) / 1000 : 0;
    return Math.min(this.position + this.due + elapsed * this.speed, this.horizon);
  }

  /* Where the columns of characters are, see cells.js. */
  scaleAt(now, width, isStill) {
    const wide = Math.max(9, Math.min(14, width / 80));
    const ahead = isStill ? AHEAD + STEP - (now % STEP) : AHEAD;
    return { head: width - ahead * wide, wide, rate: this.speed };
  }

  committed(seconds) {
    return this.position + (this.running ? Math.ceil(this.speed * seconds) : 0);
  }

  secondsUntil(position) {
    return (position - this.position) / this.speed;
  }

  prepare() {}

  unlock() {}

  mayPlay() {
    return true;
  }

  begin({ primer, before, at }) {
    this.reset();
    this.position = this.horizon = at;
    if (primer) this.write(primer, "primer");
    if (before) this.write(before);
    this.page.classList.add("typing");
    this.running = true;
    this.last = performance.now();
    this.follow(true);
  }

  accept({ from, text, horizon, ended }) {
    if (from !== undefined) this.takeBack(from);
    this.waiting.push(...text);
    this.horizon = horizon;
    this.ended = ended;
  }

  /* What stands at a position or later is written again. It is seldom typed already. */
  takeBack(from) {
    let typed = Math.max(0, this.position - from);
    this.waiting.length = typed ? 0 : Math.min(this.waiting.length, from - this.position);
    this.position = Math.min(this.position, from);
    while (typed && this.block) {
      const characters = [...this.block.firstChild.data];
      const left = Math.max(0, characters.length - typed);
      typed -= characters.length - left;
      this.block.firstChild.data = characters.slice(0, left).join("");
      if (!typed || this.block.previousSibling?.className !== this.block.className) return;
      this.block = this.block.previousSibling;
      this.block.nextSibling.remove();
      typed -= 1; // the line's end between two blocks
    }
  }

  type() {
    const now = performance.now();
    const elapsed = (now - (this.last ?? now)) / 1000;
    this.last = now;
    if (!this.running || !this.waiting.length) return;
    this.due = Math.min(this.due + elapsed * this.speed, this.waiting.length + 1);
    const count = typable(this.waiting, Math.floor(this.due), this.ended);
    if (!count) return;
    this.due -= count;
    this.write(this.waiting.splice(0, count).join(""));
    this.position += count;
    this.firstSound ??= (now - this.stage.clicked) / 1000;
    this.follow();
  }

  write(text, className = "") {
    if (!this.block || className !== this.block.className || (this.block.textContent.length > BLOCK && text.includes("\n"))) {
      const cut = this.block && className === this.block.className ? text.indexOf("\n") + 1 : 0;
      if (cut) this.block.firstChild.appendData(text.slice(0, cut - 1));
      text = text.slice(cut);
      this.block = document.createElement("div");
      this.block.className = className;
      this.block.dir = "auto"; // from right to left, if it begins so; each line for itself
      this.block.append("");
      this.page.append(this.block);
      if (this.following && this.page.childElementCount > BLOCKS) {
        this.page.firstChild.remove();
        this.top = this.page.scrollTop;
      }
    }
    this.block.firstChild.appendData(text);
  }

  follow(always = false) {
    // Whoever has scrolled up since the last time is left alone, also before the browser says so.
    if (always) this.following = true;
    else if (this.page.scrollTop < this.top - NEAR) this.following = false;
    if (this.following) this.page.scrollTop = this.page.scrollHeight;
    this.top = this.page.scrollTop;
    this.back.hidden = this.following;
  }

  pause() {
    this.running = false;
  }

  resume() {
    this.running = true;
  }

  stop() {
    this.running = false;
    this.waiting = [];
    this.page.classList.remove("typing");
  }

  close() {
    clearInterval(this.timer);
  }

  speedSlider() {
    const label = document.createElement("label");
    label.innerHTML = `Speed <input type="range" min="0" max="${SPEEDS.length - 1}" step="0.1" value="3" aria-label="Speed"><output></output>`;
    const input = label.querySelector("input");
    const change = () => {
      this.speed = Math.round(SPEEDS[0] * 2 ** Number(input.value));
      label.querySelector("output").textContent = `${this.speed}/s`;
    };
    input.addEventListener("input", change);
    change();
    return label;
  }

  get report() {
    return { typed: this.position, firstSound: this.firstSound, blocks: this.page.childElementCount, speed: this.speed };
  }
}

export default mounts(Text);
