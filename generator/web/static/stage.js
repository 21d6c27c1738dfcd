// A stage: the buttons, the pull loop and the shelf of kept takes, around a view that plays or types.
//
// A view has: element, unlock(), prepare(data), begin(live), accept(chunk), pause(), resume(), stop(), close(), and the
// numbers position, horizon, ahead, first (how far to ask ahead, and how far at first), plus length(position) as words.

import { listen } from "./keys.js";
import { post } from "./server.js";
import { able, downloads, onPress, shelve } from "./shelf.js";

const TICK_MS = 100;
const RETRY_MS = 1000;
const SAID = { playing: "Playing", paused: "Paused", idle: "Stopped" }; // aloud

class Stage {
  constructor(root, View) {
    this.root = root;
    this.state = "idle"; // idle, starting, playing, paused
    this.live = null;
    this.sequence = 0;
    this.pulls = 0;
    this.busy = false;
    this.quietUntil = 0;
    this.seenMessage = null;
    this.view = new View(this);
    this.find(".view").append(this.view.element);
    this.find(".extra").append(...(this.view.controls ?? []));
    const click = (selector, action) => onPress(this.find(selector), action.bind(this));
    click(".play", this.play);
    click(".stop", () => this.stop());
    click(".back", this.back);
    click(".keep", () => this.trigger("keep", { take: this.live.take, position: this.view.position }));
    this.find("h1").textContent = this.view.title;
    this.deafen = listen(this);
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.show();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  /* From Python, at every run of the page. */
  update({ data, setTriggerValue }) {
    if (this.data && data.visitor !== this.data.visitor && this.state !== "starting") this.stop();
    this.data = data;
    this.trigger = setTriggerValue;
    this.view.prepare(data);
    if (this.state === "starting" && data.live && data.live.take !== this.live?.take) this.begin(data.live);
    // What was said before this page was shown is not said again.
    this.seenMessage ??= data.message?.number ?? 0;
    if (data.message && data.message.number !== this.seenMessage) {
      this.seenMessage = data.message.number;
      if (this.state === "starting") this.state = "idle";
      this.say(data.message.text);
    }
    const back = this.find(".back");
    back.querySelector("span").textContent = data.back;
    back.title = `Go back ${data.back} and try again with another seed`;
    back.setAttribute("aria-label", back.title);
    this.shelf();
    this.show();
  }

  play() {
    if (this.state === "playing") {
      this.state = "paused";
      this.view.pause();
    } else if (this.state === "paused") {
      this.state = "playing";
      this.view.resume();
    } else if (this.state === "idle") {
      this.state = "starting";
      this.clicked = performance.now();
      this.say("");
      this.view.unlock();
      this.trigger("start", Date.now());
    }
    this.show();
  }

  /* Leave the last part, and go on from there as another take. */
  back() {
    const { position } = this.view;
    this.view.stop();
    this.state = "starting";
    this.clicked = performance.now();
    this.say("");
    this.view.unlock();
    this.trigger("back", { position });
    this.show();
  }

  begin(live) {
    this.live = live;
    this.interventions({ relaxed: {}, lifts: 0 });
    this.sequence = 0;
    this.state = "playing";
    this.view.begin(live);
    this.tick();
  }

  stop(message = "") {
    if (this.state === "playing" || this.state === "paused") this.view.stop();
    this.state = "idle";
    this.say(message);
    this.show();
  }

  tick() {
    const { view } = this;
    if (this.state === "playing") {
      if (view.ended && view.position >= view.horizon) this.stop("The piece has ended.");
      else if (view.horizon - view.position < view.ahead && !view.ended) this.pull();
    }
    this.find(".length").textContent = this.live ? view.words(view.position) : "";
    const heard = Boolean(this.live) && view.position > 0;
    able(this.find(".keep"), heard);
    able(this.find(".back"), heard && this.state !== "starting");
    for (const button of this.root.querySelectorAll(".downloads button")) {
      able(button, heard && !button.classList.contains("busy"));
    }
  }

  /* A start that was asked of a stage that Streamlit took out of the page is this one's. */
  takeOver({ state, live, clicked, seenMessage }) {
    if (state !== "starting") return;
    Object.assign(this, { state, live, clicked, seenMessage });
    this.view.unlock();
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

  /* One request at a time. A lost answer costs nothing: the same number is asked for again. */
  async pull() {
    if (this.busy || performance.now() < this.quietUntil) return;
    this.busy = true;
    const { live, view } = this;
    const until = this.sequence === 0 ? view.horizon + view.first : view.position + view.ahead * 1.1;
    try {
      const answer = await post("pull", { visitor: this.data.visitor, take: live.take, have: this.sequence, until });
      const chunk = await answer.json();
      if (this.live !== live || !this.goesOn) return;
      this.pulls += 1;
      if (chunk.seq <= this.sequence) return;
      this.sequence = chunk.seq;
      this.options = chunk.options;
      this.interventions(chunk);
      await view.accept(chunk);
      if (this.quietUntil) this.say("");
      this.quietUntil = 0;
    } catch (error) {
      if (this.live !== live || !this.goesOn) return;
      if (error.final) this.stop(error.message);
      else {
        this.quietUntil = performance.now() + RETRY_MS;
        this.say("The server is silent; trying again …");
      }
      return;
    } finally {
      this.busy = false;
    }
    this.tick(); // at a start, or after a gap, more is needed at once
  }

  shelf() {
    const now = this.find(".downloads");
    const heard = () => ({ ...this.live, length: this.view.position });
    if (!now.childElementCount) now.append(...downloads(this, heard));
    shelve(this);
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
    clearInterval(this.timer);
    this.deafen();
    this.view.close();
  }

  /* What a test or a curious reader may look at: window.carousel. */
  get report() {
    const { view } = this;
    return {
      state: this.state,
      take: this.live?.take ?? null,
      sequence: this.sequence,
      pulls: this.pulls,
      options: this.options,
      position: view.position,
      horizon: view.horizon,
      ...view.report,
    };
  }
}

/* The function that Streamlit calls when it mounts the part, and again whenever its data changes. */
export function mounts(View) {
  const stages = new WeakMap();
  let left = null; // the stage that left the page last
  return (component) => {
    const root = component.parentElement;
    if (!root.querySelector("section")) return undefined;
    let stage = stages.get(root);
    if (!stage) {
      stage = new Stage(root, View);
      stages.set(root, stage);
      if (left) stage.takeOver(left);
      left = null;
      Object.defineProperty(window, "carousel", { get: () => stage.report, configurable: true });
    }
    stage.update(component);
    // Streamlit also calls this where a newer call has overtaken this one; only what has left the page is closed.
    return () => {
      if (root.host.isConnected) return;
      stages.delete(root);
      stage.close();
      left = stage;
    };
  };
}
