// A stage: the buttons, the pull loop and the shelf of kept takes, around a view that plays or types.
//
// A view has: element, unlock(), prepare(data), begin(live), accept(chunk), pause(), resume(), stop(), close(); the numbers
// position, horizon, ahead, first (how far to ask ahead, and how far at first); words(position); mayPlay(), whether the
// browser allows it without a click; and committed(seconds), before which nothing can be replaced so many seconds from now.

import { listen } from "./keys.js";
import { Memory } from "./memory.js";
import { post } from "./server.js";
import { able, downloads, onPress, shelve } from "./shelf.js";

const TICK_MS = 100;
const RETRY_MS = 1000;
const REACTION = 0.15; // seconds: the first guess of how long an answer takes that replaces what was to come
const LONGEST_REACTION = 2;
const SAID = { playing: "Playing", paused: "Paused", idle: "Stopped" }; // aloud

export class Stage {
  constructor(root, View) {
    this.root = root;
    this.state = "idle"; // idle, starting, playing, paused
    this.next = "playing"; // what follows "starting"
    this.passed = undefined; // the number of a take that is not the one that is awaited
    this.live = null;
    this.origin = null; // from which the server can draw the live take again
    this.sequence = 0;
    this.pulls = 0;
    this.busy = false;
    this.quietUntil = 0;
    this.changes = 0; // of the options, as far as they were asked to be heard
    this.urgent = false; // the next chunk is needed now, because it replaces what was to come
    this.reaction = REACTION;
    this.heardAt = null;
    this.seenMessage = null;
    this.view = new View(this);
    this.memory = new Memory(this, View.name);
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
    const before = this.data ?? data;
    this.data = data;
    this.trigger = setTriggerValue;
    this.view.prepare(data);
    if (this.memory.update(before)) this.tick();
    else if (before.visitor && !data.visitor && this.state === "starting") this.askAgain();
    const isNew = data.live && data.live.take !== this.live?.take && data.live.take !== this.passed;
    if (this.state === "starting" && isNew) this.begin(data.live);
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
      this.find(".downloads").append(...downloads(this, heard));
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
      this.wait("start", Date.now());
    }
    this.show();
  }

  /* Ask Python for a take, which is then played. */
  wait(name, value) {
    if (this.state === "starting") return;
    this.view.stop();
    this.state = "starting";
    this.next = "playing";
    this.memory.giveUp();
    this.origin = null;
    this.passed = this.data.live?.take;
    this.asked = name;
    this.clicked = performance.now();
    this.say("");
    this.view.unlock();
    this.trigger(name, value);
    this.show();
  }

  /* The server was restarted before it answered. */
  askAgain() {
    if (this.asked === "start") this.trigger("start", Date.now());
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
    this.urgent = true;
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
    this.urgent = false;
    this.interventions({ relaxed: {}, lifts: 0 });
    this.sequence = 0;
    this.joint = undefined;
    this.state = this.next;
    this.view.begin(live);
    this.tick();
  }

  /* The take that plays is another one on the server now; what is here already stays. */
  join(live) {
    this.live = live;
    this.changes = live.changes;
    this.sequence = 0;
    this.joint = live.at; // from where the first chunk overlaps what is here
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
    if (this.state === "playing") {
      if (view.ended && view.position >= view.horizon) this.stop("The piece has ended.");
      else if (this.urgent || (view.horizon - view.position < view.ahead && !view.ended)) this.pull();
    }
    this.memory.tick();
    this.find(".length").textContent = this.live ? view.words(view.position) : "";
    const heard = Boolean(this.live) && view.position > 0;
    able(this.find(".keep"), heard);
    able(this.find(".back"), heard && this.state !== "starting");
    for (const button of this.root.querySelectorAll(".downloads button")) {
      able(button, heard && (this.origin || !button.matches(".link")) && !button.classList.contains("busy"));
    }
  }

  /* A start that was asked of a stage that Streamlit took out of the page is this one's. */
  takeOver({ state, next, asked, passed, live, origin, clicked, seenMessage }) {
    if (state !== "starting") return;
    Object.assign(this, { state, next, asked, passed, live, origin, clicked, seenMessage });
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

  /* One request at a time. A lost answer costs nothing: the same number is asked for again. */
  async pull() {
    if (this.busy || this.memory.lost || performance.now() < this.quietUntil) return;
    this.busy = true;
    const { live, view } = this;
    const until = this.sequence === 0 ? view.horizon + view.first : view.position + view.ahead * 1.1;
    const asked = performance.now();
    this.urgent = false;
    try {
      const heard = view.committed(this.reaction);
      const wanted = { visitor: this.data.visitor, take: live.take, have: this.sequence, until, heard };
      const answer = await post("pull", wanted);
      const chunk = await answer.json();
      if (this.live !== live || !this.goesOn) return;
      this.pulls += 1;
      if (chunk.seq <= this.sequence) return;
      this.sequence = chunk.seq;
      this.options = chunk.options;
      this.origin = chunk.origin ?? this.origin;
      if (this.sequence === 1) chunk.from ??= this.joint;
      if (chunk.from !== undefined) {
        const seconds = (performance.now() - asked) / 1000;
        this.reaction = Math.min(LONGEST_REACTION, Math.max(seconds * 1.25, (this.reaction + seconds) / 2)); // rather early
        this.heardAt = performance.now() + 1000 * view.secondsUntil(chunk.from);
      }
      this.interventions(chunk);
      await view.accept(chunk);
      if (this.quietUntil) this.say("");
      this.quietUntil = 0;
    } catch (error) {
      if (this.live !== live || !this.goesOn) return;
      if (error.gone) this.memory.recover(this.data);
      else if (error.final) this.stop(error.message);
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
      heardAt: this.heardAt, // when the last change of the options is heard, in the page's milliseconds
      position: view.position,
      horizon: view.horizon,
      ...view.report,
    };
  }
}
