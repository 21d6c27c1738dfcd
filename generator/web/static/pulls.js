// The requests for what follows, one at a time. A lost answer costs nothing: the same chunk is asked for again.

import { post } from "./server.js";

const RETRY_MS = 1000;
const REACTION = 0.15; // seconds: the first guess of how long an answer takes that replaces what was to come
const LONGEST_REACTION = 2;

export class Pulls {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.count = 0;
    this.busy = false;
    this.quietUntil = 0;
    this.reaction = REACTION;
    this.heardAt = null;
    this.begin();
  }

  /* With a new take. If its first chunk overlaps what is here, it does so from the position `joint` on. */
  begin(joint) {
    this.sequence = 0;
    this.joint = joint;
    if (joint === undefined) this.phrase = null; // what was played, {heard, phrase}, until the stream has heard it
    this.urgent = false; // the next chunk is needed now, because it replaces what was to come
  }

  async next() {
    const { stage } = this;
    const { live, view, memory } = stage;
    if (this.busy || memory.lost || performance.now() < this.quietUntil) return;
    this.busy = true;
    const until = this.sequence === 0 ? view.horizon + view.first : view.position + view.ahead * 1.1;
    const asked = performance.now();
    const isOver = () => stage.live !== live || !stage.goesOn;
    this.urgent = false;
    try {
      const heard = view.committed(this.reaction);
      const wanted = { visitor: stage.data.visitor, take: live.take, have: this.sequence, until, heard, ...this.phrase };
      const answer = await post("pull", wanted);
      const chunk = await answer.json();
      if (isOver()) return;
      this.count += 1;
      if (chunk.seq <= this.sequence) return;
      this.sequence = chunk.seq;
      if (this.sequence === 1) chunk.from ??= this.joint;
      if (chunk.from !== undefined) {
        const seconds = (performance.now() - asked) / 1000;
        this.reaction = Math.min(LONGEST_REACTION, Math.max(seconds * 1.25, (this.reaction + seconds) / 2)); // rather early
        this.heardAt = performance.now() + 1000 * view.secondsUntil(chunk.from);
      }
      if (chunk.phrase) this.phrase = null;
      await stage.accept(chunk);
      if (this.quietUntil) stage.say("");
      this.quietUntil = 0;
    } catch (error) {
      if (isOver()) return;
      if (error.gone) memory.recover(stage.data);
      else if (error.final) stage.stop(error.message);
      else {
        this.quietUntil = performance.now() + RETRY_MS;
        stage.say("The server is silent; trying again …");
      }
      return;
    } finally {
      this.busy = false;
    }
    stage.tick(); // at a start, or after a gap, more is needed at once
  }
}
