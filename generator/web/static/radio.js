// The panel for listening on and on: a timer to fall asleep by, a queue of checkpoints, and what was heard.

import { able, onPress, small } from "./buttons.js";
import { element, made } from "./elements.js";
import { Heard } from "./heard.js";
import { LENGTHS, Queue } from "./queue.js";
import { recall, remember, TAB } from "./storage.js";

const KEY = "carousel-radio";
const LONGEST = 400_000; // characters that are read
const SLEEP = [0, 15, 30, 60]; // minutes
const SLEEP_FADE = 12; // seconds
const SAVE_MS = 5000;

export class Radio {
  constructor(music) {
    this.music = music;
    this.stage = music.stage;
    this.element = made(`
      <div class="sleep"><label>Stop in <select></select></label> <span class="left"></span></div>
      <div class="queue" role="group" aria-label="Queue">
        <h2>Queue</h2>
        <ol></ol>
        <div class="new">
          <label><span class="unseen">Checkpoint to add</span><select class="checkpoint"></select></label>
          <label><span class="unseen">How long</span><select class="for"></select></label>
          <button class="quiet add">Add</button>
          <button class="quiet play-queue"></button>
        </div>
      </div>
      <div class="heard"><h2>Heard</h2><ul></ul></div>`);
    this.panel = { name: "Radio", element: this.element, toggled: (isOpen) => isOpen && this.show() };
    const kept = recall(TAB, KEY, LONGEST);
    this.queue = new Queue(music, kept?.queue);
    this.heard = new Heard(this.stage, kept?.heard);
    this.savedAt = 0;
    this.sleepAt = null;
    const sleep = this.find(".sleep select");
    for (const minutes of SLEEP) sleep.append(new Option(minutes ? `${minutes} minutes` : "never", String(minutes)));
    sleep.addEventListener("change", () => this.sleepIn(Number(sleep.value)));
    for (const [value, words] of LENGTHS) this.find(".for").append(new Option(words, value));
    onPress(this.find(".add"), () => {
      this.queue.add(this.find(".checkpoint").value, this.find(".for").value);
      this.show();
    });
    onPress(this.find(".play-queue"), () => {
      if (this.queue.at !== null) this.queue.giveUp();
      else this.queue.go(0);
      this.show();
    });
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  sleepIn(minutes) {
    this.sleepAt = minutes ? performance.now() + 60_000 * minutes : null;
    this.music.synth.fade(1, 0.5);
    this.isFading = false;
    this.tick();
  }

  /* To the next of the queue, or on with another seed. */
  next() {
    const { stage, queue } = this;
    if (stage.state === "starting") return;
    if (queue.at !== null) queue.go(queue.next);
    else if (stage.state === "idle") stage.play();
    else stage.trigger("tune", { checkpoint: stage.data.checkpoint });
  }

  begin(live) {
    this.queue.take(live);
    this.heard.begin(live);
    this.show();
  }

  accept(chunk) {
    this.queue.accept(chunk);
  }

  tick() {
    this.queue.tick();
    this.heard.note();
    this.fallAsleep();
    const shown = JSON.stringify([this.queue.entries, this.queue.at, this.stage.data?.checkpoints, this.heard.past.length, Boolean(this.heard.present)]);
    if (shown !== this.shown) {
      this.shown = shown;
      this.show();
    }
    if (performance.now() > this.savedAt + SAVE_MS) this.save();
  }

  /* Fade out, and then stop. */
  fallAsleep() {
    const left = this.sleepAt === null ? null : (this.sleepAt - performance.now()) / 1000;
    const words = left === null ? "" : left > 60 ? `${Math.ceil(left / 60)} minutes left` : "Less than a minute left";
    if (this.find(".left").textContent !== words) this.find(".left").textContent = words;
    if (left === null) return;
    if (left <= SLEEP_FADE && !this.isFading) {
      this.isFading = true;
      this.music.synth.fade(0, Math.max(0.1, left));
    }
    if (left > 0) return;
    this.find(".sleep select").value = 0;
    this.sleepAt = null;
    this.isFading = false;
    this.queue.at = null;
    if (this.stage.goesOn) this.stage.stop("Good night.");
  }

  show() {
    const { queue, stage } = this;
    const names = stage.data?.checkpoints ?? [];
    const box = this.find(".checkpoint");
    if (JSON.stringify([...box.options].map(({ value }) => value)) !== JSON.stringify(names)) {
      box.replaceChildren(...names.map((name) => new Option(name, name)));
    }
    const rows = queue.entries.map(({ checkpoint, length }, index) => {
      const row = element("li");
      const text = element("span", "", `${checkpoint}, ${LENGTHS.get(length)}`);
      if (index === queue.at) {
        row.setAttribute("aria-current", "true");
        text.append(element("em", "", " now"));
      }
      row.append(text, small("Remove", `Remove ${checkpoint} from the queue`, () => this.removed(index)));
      return row;
    });
    this.find("ol").replaceChildren(...rows);
    const follow = this.find(".play-queue");
    follow.textContent = queue.at === null ? "Play the queue" : "Leave the queue";
    able(follow, queue.entries.length > 0);
    this.find(".heard").hidden = !this.heard.past.length;
    this.find(".heard ul").replaceChildren(...this.heard.past.map((entry) => this.again(entry)));
  }

  removed(index) {
    this.queue.remove(index);
    this.show();
    (this.find("ol").children[Math.min(index, this.queue.entries.length - 1)]?.querySelector("button") ?? this.find(".add")).focus();
  }

  again({ title, begun, seconds, origin }) {
    const row = element("li");
    const at = new Date(begun).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const words = `${title}, ${at}, ${this.music.words(seconds)}`;
    row.append(element("span", "", words));
    const play = small("Play", `Play ${title} again`, () => this.stage.wait("restore", { origin, position: 0 }));
    if (origin) row.append(play);
    return row;
  }

  save() {
    this.savedAt = performance.now();
    remember(TAB, KEY, { queue: this.queue.entries, heard: this.heard.entries });
  }

  close() {
    this.save();
  }

  get report() {
    return { queueAt: this.queue.at, heard: this.heard.entries.length, checkpoint: this.stage.data?.checkpoint };
  }
}
