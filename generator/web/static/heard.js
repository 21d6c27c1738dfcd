// What was heard on the radio, the latest first, to be heard again.

const MOST = 12;
const LONGEST = 20_000; // characters of an origin that is remembered
const LEAST_SECONDS = 5; // shorter ones are not remembered

export class Heard {
  constructor(stage, entries) {
    this.stage = stage;
    const isEntry = (entry) =>
      typeof entry?.title === "string" && [entry.begun, entry.seconds].every(Number.isFinite) && (entry.origin === null || typeof entry.origin === "string");
    this.past = (Array.isArray(entries) ? entries : []).filter(isEntry).slice(0, MOST);
    this.present = null;
  }

  begin({ title, at }) {
    this.finish();
    this.present = { title, begun: Date.now(), from: at, seconds: 0, origin: null };
  }

  /* What is known of the take that plays, from time to time. */
  note() {
    const { present, stage } = this;
    if (!present || stage.state === "starting") return;
    present.title = stage.live.title;
    present.seconds = Math.max(0, stage.view.position - present.from);
    present.origin = stage.origin && stage.origin.length <= LONGEST ? stage.origin : null;
  }

  finish() {
    if (this.present?.seconds >= LEAST_SECONDS) this.past = [this.present, ...this.past].slice(0, MOST);
    this.present = null;
  }

  /* All, as it is remembered. */
  get entries() {
    const all = this.present?.seconds >= LEAST_SECONDS ? [this.present, ...this.past] : this.past;
    return all.slice(0, MOST).map(({ title, begun, seconds, origin }) => ({ title, begun, seconds, origin }));
  }
}
