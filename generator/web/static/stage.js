// A stage: the buttons and the shelf of kept takes, around a view that plays or types.

import { able, onPress } from "./buttons.js";
import { downloads } from "./downloads.js";
import { every } from "./every.js";
import { listen } from "./keys.js";
import { Memory } from "./memory.js";
import { addPanel } from "./panels.js";
import { Pulls } from "./pulls.js";
import { shelve } from "./shelf.js";

const TICK_MS = 100;
const SAID = { playing: "Playing", paused: "Paused", idle: "Stopped" }; // aloud

/**
 * A chunk of a take, as the server answers a pull, the positions in seconds or characters. `from`: it replaces all that starts
 * there or later.
 * @typedef {{ seq: number, horizon: number, ended: boolean, from?: number, origin?: string, options: Record<string, any>,
 *   relaxed: Record<string, number>, lifts: number, [more: string]: any }} Chunk
 *
 * A take before its first chunk: `at` is the position from which on it is heard.
 * @typedef {{ take: number, title: string, changes: number, at: number, [more: string]: any }} Live
 *
 * What belongs to a view and wants to know what happens; `panel` is behind a button (see panels.js);
 * `escape` gives up what is picked, if anything is: only the next Escape stops.
 * @typedef {{ panel?: import("./panels.js").Panel, report?: Record<string, any>, prepare?(data: any): void, begin?(live: Live): void,
 *   accept?(chunk: Chunk): void, tick?(): void, escape?(): boolean, close?(): void }} Part
 *
 * What plays or types. It asks `ahead` ahead of its position, and `first` at first; `mayPlay`: whether the browser allows it
 * without a click; `committed(seconds)`: the position before which nothing can be replaced so many seconds from now; `beginning`:
 * what a start is to go on from; `holds`: whether it wants nothing now; `instruments`: the programs that the listener has chosen,
 * by the names of their voices, for files.
 * @typedef {{ title: string, soFar: string, element: HTMLElement, controls?: HTMLElement[], parts?: Part[], position: number,
 *   horizon: number,
 *   ended: boolean, ahead: number, first: number, beginning?: any, holds?: boolean, report: Record<string, any>,
 *   instruments?(): Record<string, number>,
 *   words(position: number): string, unlock(): void, mayPlay(): boolean | Promise<boolean>, prepare(data: any): void,
 *   begin(live: Live): void, accept(chunk: Chunk): void | Promise<void>, committed(seconds: number): number,
 *   secondsUntil(position: number): number, pause(): void, resume(): void, stop(): void, close(): void }} View
 */

export class Stage {
  /**
   * @param {ShadowRoot} root
   * @param {new (stage: Stage) => View} View
   */
  constructor(root, View) {
    this.root = root;
    this.state = "idle"; // idle, starting, playing, paused
    this.next = "playing"; // what follows "starting"
    this.passed = undefined; // the number of a take that is not the one that is awaited
    this.live = null;
    this.origin = null; // from which the server can draw the live take again
    this.changes = 0; // of the options, as far as they were asked to be heard
    this.seenMessage = null;
    this.pulls = new Pulls(this);
    this.leaving = new AbortController(); // ends what is still asked for when the page is left
    this.view = new View(this);
    this.parts = this.view.parts ?? [];
    this.memory = new Memory(this, View.name);
    this.find(".view").append(this.view.element);
    this.find(".extra").append(...(this.view.controls ?? []));
    const click = (selector, action) => onPress(this.find(selector), action.bind(this));
    click(".play", this.play);
    click(".stop", () => this.stop());
    click(".back", this.back);
    click(".keep", () => this.trigger("keep", { take: this.live.take, position: this.view.position }));
    for (const { panel } of this.parts) if (panel) addPanel(this, panel);
    this.deafen = listen(this);
    this.endTicks = every(TICK_MS, () => this.tick());
    this.show();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  /* From Python, at every run of the page. */
  update({ data, setTriggerValue }) {
    const before = this.data ?? data;
    this.data = data;
    this.trigger = setTriggerValue;
    this.view.prepare(data);
    this.find("section").dataset.page = data.page;
    this.find("h1").textContent = data.page === "memory" ? "Memory" : this.view.title;
    for (const part of this.parts) part.prepare?.(data);
    if (this.memory.update(before)) this.tick();
    else if (before.visitor && !data.visitor && this.state === "starting") this.askAgain();
    const isNew = data.live && data.live.take !== this.live?.take && data.live.take !== this.passed;
    if (this.state === "starting" && isNew) this.begin(data.live);
    if (data.visitor === before.visitor && data.kept.length > before.kept.length) this.say(`Kept, below: ${data.kept[0].title}.`);
    if (data.live && data.live.take === this.live?.take) this.change(data.live);
    if (data.stale && data.live.take === this.live?.take) this.replace();
    // What was said before this page was shown is not said again.
    this.seenMessage ??= data.message?.number ?? 0;
    if (data.message && data.message.number !== this.seenMessage) {
      this.seenMessage = data.message.number;
      if (this.state === "starting") this.state = "idle";
      if (this.memory.lost) this.stop();
      this.say(data.message.text);
    }
    this.memory.recall();
    const back = this.find(".back");
    back.querySelector("span").textContent = data.back;
    back.title = `Go back ${data.back} and try again with another seed`;
    back.setAttribute("aria-label", back.title);
    if (!this.find(".downloads").childElementCount) {
      const heard = () => ({ ...this.live, length: this.view.position, origin: this.origin });
      this.find(".downloads").append(...downloads(this, heard, this.view.soFar));
    }
    shelve(this);
    this.show();
  }

  play() {
    if (this.state === "playing") {
      this.state = "paused";
      this.view.pause();
    } else if (this.state === "paused") {
      this.state = "playing";
      this.clicked = performance.now();
      this.view.resume();
    } else if (this.state === "idle") {
      this.wait("start", this.view.beginning ?? Date.now());
    }
    this.show();
  }

  /* Ask Python for a take, which is then played; `reason` tells the parts why, if the listener chose something. */
  wait(name, value, reason = null) {
    if (this.state === "starting") return;
    this.view.stop();
    this.state = "starting";
    this.next = "playing";
    this.memory.giveUp();
    this.origin = null;
    this.passed = this.data.live?.take;
    this.asked = name;
    this.value = value;
    this.reason = reason;
    this.clicked = performance.now();
    this.say("");
    this.view.unlock();
    this.trigger(name, value);
    this.show();
  }

  /* The server was restarted before it answered. */
  askAgain() {
    if (this.asked === "start") this.trigger("start", this.value);
    else this.stop("The server was restarted. Press Start for a new stream.");
  }

  /* Leave the last part, and go on from there as another take. */
  back() {
    this.wait("back", { position: this.view.position });
  }

  /* Options were changed: what the listener has not heard yet is drawn again. */
  change(live) {
    this.live.title = live.title;
    if (live.changes === this.changes) return;
    this.changes = live.changes;
    this.pulls.urgent = true;
  }

  /* Another checkpoint was chosen: it takes over at once. */
  replace() {
    const { state } = this;
    if (state !== "playing" && state !== "paused") return;
    this.stop();
    if (state === "playing") this.play();
  }

  begin(live) {
    this.live = live;
    this.changes = live.changes;
    this.interventions({ relaxed: {}, lifts: 0 });
    this.pulls.begin();
    this.state = this.next;
    this.view.begin(live);
    for (const part of this.parts) part.begin?.(live);
    this.tick();
  }

  /* The take that plays is another one on the server now; what is here already stays. */
  join(live) {
    this.live = live;
    this.changes = live.changes;
    this.pulls.begin(live.at);
  }

  stop(message = "") {
    if (this.state === "playing" || this.state === "paused") this.view.stop();
    this.state = "idle";
    this.memory.giveUp();
    this.say(message);
    this.show();
  }

  tick() {
    const { view } = this;
    if (this.state === "playing" && !view.holds) {
      if (view.ended && view.position >= view.horizon) this.stop("The piece has ended.");
      else if (this.pulls.urgent || (view.horizon - view.position < view.ahead && !view.ended)) this.pulls.next();
    }
    this.memory.tick();
    for (const part of this.parts) part.tick?.();
    this.find(".length").textContent = this.live ? view.words(view.position) : "";
    const heard = Boolean(this.live) && view.position > 0;
    able(this.find(".keep"), heard);
    able(this.find(".back"), heard && this.state !== "starting");
    const download = this.find(".downloads .open");
    if (download) able(download, heard && Boolean(this.origin));
  }

  /* A start that was asked of a stage that Streamlit took out of the page is this one's. */
  takeOver({ state, next, asked, value, reason, passed, live, origin, clicked, seenMessage }) {
    if (state !== "starting") return;
    Object.assign(this, { state, next, asked, value, reason, passed, live, origin, clicked, seenMessage });
    if (next === "playing") this.view.unlock();
  }

  get goesOn() {
    return this.state === "playing" || this.state === "paused";
  }

  /* What had to give way, and how often the governor stepped in, quietly. */
  interventions({ relaxed, lifts }) {
    const times = (count) => (count === 1 ? "once" : `${count.toLocaleString("en")} times`);
    const words = Object.entries(relaxed).map(([name, count]) => `${name.replaceAll("_", " ")} ${times(count)}`);
    const lines = words.length ? [`Had to give way, where nothing else could follow: ${words.join(", ")}.`] : [];
    if (lifts) lines.push(`The governor stepped in ${times(lifts)}, at a loop or silence.`);
    const line = this.find(".interventions");
    line.textContent = lines.join(" ");
    line.hidden = lines.length === 0;
  }

  /* A chunk has come. */
  async accept(chunk) {
    this.options = chunk.options;
    this.origin = chunk.origin ?? this.origin;
    this.interventions(chunk);
    await this.view.accept(chunk);
    for (const part of this.parts) part.accept?.(chunk);
  }

  say(text) {
    this.find(".status").textContent = text;
  }

  show() {
    const labels = { idle: "Start", starting: "Starting", playing: "Pause", paused: "Resume" };
    const play = this.find(".play");
    play.dataset.state = this.state;
    play.querySelector("span").textContent = labels[this.state];
    able(play, this.state !== "starting" && Boolean(this.trigger));
    able(this.find(".stop"), this.goesOn);
    if (this.live && SAID[this.state]) this.find(".aloud").textContent = SAID[this.state];
    this.find("section").dataset.state = this.state;
    this.tick();
  }

  close() {
    this.memory.save(true);
    this.leaving.abort();
    this.endTicks();
    this.deafen();
    for (const part of this.parts) part.close?.();
    this.view.close();
  }

  /* What a test or a curious reader may look at: window.carousel. */
  get report() {
    const { view } = this;
    return {
      state: this.state,
      take: this.live?.take ?? null,
      sequence: this.pulls.sequence,
      pulls: this.pulls.count,
      options: this.options,
      heardAt: this.pulls.heardAt, // when the last change of the options is heard, in the page's milliseconds
      position: view.position,
      horizon: view.horizon,
      ...Object.assign({}, ...this.parts.map(({ report }) => report)),
      ...view.report,
    };
  }
}
