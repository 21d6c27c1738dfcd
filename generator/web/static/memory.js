// What a tab remembers of its take, so that a reload or a restart of the server loses nothing.

import { linked } from "./link.js";

const SAVE_MS = 1000;
const MARGIN = 2e-3; // seconds; positions are rounded

export class Memory {
  constructor(stage, name) {
    this.stage = stage;
    this.key = `carousel-${name}`;
    this.lost = null; // the visitor whose take the server has no more
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
      const memory = origin ? { origin, position: 0 } : this.load();
      if (!memory || stage.state !== "idle") return;
      stage.state = "starting";
      stage.passed = stage.data.live?.take;
      stage.next = memory.state === "playing" && (await stage.view.mayPlay()) ? "playing" : "paused";
      stage.clicked = performance.now();
      stage.origin = memory.origin;
      stage.trigger("restore", memory);
      sessionStorage.removeItem(this.key); // if it cannot be drawn again now, it never can
    } catch (error) {
      stage.say(error.message);
    }
    stage.show();
  }

  /* From Python: is the take that was lost here again, or is the one that plays lost? True in the first case. */
  update(visitor) {
    const { stage } = this;
    const { data } = stage;
    const isHere = this.lost && data.live && data.visitor !== this.lost;
    if (isHere) {
      this.lost = null;
      stage.join(data.live);
    } else if (data.visitor !== visitor && stage.goesOn) this.recover(visitor);
    return isHere;
  }

  /* The server has lost the take. What was drawn goes on meanwhile, and the take is drawn again for what follows. */
  recover(visitor) {
    const { stage } = this;
    if (!stage.origin) return stage.stop("The server was restarted. Press Start for a new stream.");
    this.lost = visitor;
    const position = Math.max(0, stage.view.horizon - MARGIN);
    stage.trigger("restore", { origin: stage.origin, position, kept: this.kept() });
  }

  kept() {
    return this.stage.data.kept.map(({ origin, length }) => ({ origin, length }));
  }

  /* Storage may be full, or forbidden; then a reload begins anew. */
  save(now = false) {
    const { state, live, origin, view, data } = this.stage;
    if (!live || !origin || state === "starting") return;
    if (!now && performance.now() < this.savedAt + SAVE_MS) return;
    this.savedAt = performance.now();
    const memory = { state, origin, position: view.position, visitor: data.visitor, take: live.take, kept: this.kept() };
    try {
      sessionStorage.setItem(this.key, JSON.stringify(memory));
    } catch {}
  }

  load() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key));
    } catch {
      return null;
    }
  }
}
