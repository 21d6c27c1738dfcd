// What a tab remembers of its take, so that a reload or a restart of the server loses nothing.

import { leaveLink, linked } from "./link.js";
import { forget, recall, remember, TAB } from "./storage.js";

const SAVE_MS = 1000;
const ASK_MS = 2000;
const MOST_ASKS = 2;
const PATIENCE_MS = 20_000; // a server that has just begun imports and compiles first
const MARGIN = 2e-3; // seconds; positions are rounded
const LAST = 0.5; // seconds of what was drawn ahead, at the end of which a reload cuts nothing off

export class Memory {
  constructor(stage, name) {
    this.stage = stage;
    this.key = `carousel-${name}`;
    this.giveUp();
    this.recalled = false;
    this.savedAt = 0;
  }

  /* What was here before a reload goes on, if the browser allows sound without a click; what a link names waits for one. */
  async recall() {
    const { stage } = this;
    if (this.recalled) return;
    this.recalled = true;
    try {
      const origin = await linked();
      const memory = origin ? { origin, position: 0 } : recall(TAB, this.key);
      if (!memory) return;
      if (memory.state === "idle" && memory.visitor === stage.data.visitor) return; // it was stopped on this page
      const next = memory.state === "playing" && (await stage.view.mayPlay()) ? "playing" : "paused";
      if (stage.state !== "idle" || !stage.root.host.isConnected) return;
      stage.state = "starting";
      stage.passed = stage.data.live?.take;
      stage.next = next;
      stage.clicked = performance.now();
      stage.origin = memory.origin;
      if (origin) {
        leaveLink();
        stage.say("This link holds a take. Press Resume, and it begins.");
      } else forget(TAB, this.key); // if it cannot be drawn again now, it never can
      stage.trigger("restore", memory);
    } catch (error) {
      leaveLink();
      stage.say(error.message);
    }
    stage.show();
  }

  /* From Python: is the take that was lost here again, or is the one that plays lost? True in the first case. */
  update(before) {
    const { stage } = this;
    const { data } = stage;
    const isHere = this.lost && data.live && data.live.take !== stage.live.take;
    if (isHere) {
      this.giveUp();
      stage.say("");
      stage.join(data.live);
    } else if (before.visitor && data.visitor !== before.visitor && stage.goesOn) this.recover(before);
    return isHere;
  }

  /* Nothing is lost, or nobody waits for it any more. */
  giveUp() {
    this.lost = false; // whether the server has the take no more
    this.lostKept = null; // the kept takes that it had
  }

  /* The server has lost the take. What was drawn goes on meanwhile, and the take is drawn again for what follows. */
  recover(before) {
    const { stage } = this;
    if (!stage.origin) return stage.stop("The server was restarted. Press Start for a new stream.");
    this.lost = true;
    this.asks = 0;
    this.lostKept ??= keptOf(before);
    stage.say("The server was restarted; the take is drawn again …");
    this.ask();
  }

  /* Streamlit must not be asked while it connects anew, or it does not run its page again; so this is asked later. */
  ask() {
    const { stage } = this;
    this.askedAt = performance.now();
    if (!isConnected()) return;
    if (this.asks === MOST_ASKS) {
      // A slow server may still answer. If Streamlit does not run its page again, a reload makes it, once nothing sounds.
      const isQuiet = stage.state !== "playing" || stage.view.horizon < stage.view.position + LAST;
      if (isQuiet && performance.now() > this.firstAskedAt + PATIENCE_MS) location.reload();
      return;
    }
    this.asks += 1;
    if (this.asks === 1) this.firstAskedAt = this.askedAt;
    const position = Math.max(0, stage.view.horizon - MARGIN);
    stage.trigger("restore", { origin: stage.origin, position, kept: this.lostKept });
  }

  tick() {
    if (this.lost && performance.now() > this.askedAt + ASK_MS) this.ask();
    this.save();
  }

  save(now = false) {
    const { state, live, origin, view, data } = this.stage;
    if (!live || !origin || !data.visitor || state === "starting") return;
    if (!now && performance.now() < this.savedAt + SAVE_MS) return;
    this.savedAt = performance.now();
    remember(TAB, this.key, { state, origin, position: view.position, visitor: data.visitor, take: live.take, kept: keptOf(data) });
  }
}

const CONNECTION = "data-test-connection-state";
const isConnected = () => [null, undefined, "CONNECTED"].includes(document.querySelector(`[${CONNECTION}]`)?.getAttribute(CONNECTION));

const keptOf = ({ kept }) => kept.map(({ title, origin, length }) => ({ title, origin, length }));
