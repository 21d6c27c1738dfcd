// The panel Keyboard: keys on the screen and the computer's own, how the stream answers, and the phrases that were played.

import { small } from "./buttons.js";
import { element, made } from "./elements.js";
import { handOver } from "./files.js";
import { TAKES_LETTERS } from "./keys.js";
import { ON } from "./messages.js";
import { noteName } from "./names.js";
import { post } from "./server.js";

const KEYS = 25; // two octaves
const BLACK = [1, 3, 6, 8, 10];
const CODES = "KeyA KeyW KeyS KeyE KeyD KeyF KeyT KeyG KeyY KeyH KeyU KeyJ KeyK KeyO KeyL KeyP Semicolon Quote".split(" ");
const LETTERS = "AWSEDFTGYHUJKOLP;'";
const OCTAVES = { KeyZ: -12, KeyX: 12 };
const VELOCITY = 90;
const [LOWEST, HIGHEST] = [24, 84]; // of the first key
const HTML = `
  <div class="row">
    <label><input type="checkbox" class="letters" checked> Play with the computer's keys</label>
    <label>Voice <select class="voice" aria-label="Voice that plays"></select></label>
    <label><input type="checkbox" class="answers" checked> The stream answers</label>
    <label>After <select class="rest" aria-label="After">
      <option value="0.7">a short rest</option><option value="1.5">a long rest</option><option value="">the bar</option>
    </select></label>
    <span class="octave" role="group" aria-label="Octave">
      <button aria-label="An octave down">−</button><output></output><button aria-label="An octave up">+</button>
    </span>
  </div>
  <div class="piano" role="group" aria-label="Piano keys"></div>
  <p class="hint">Play: the music waits, hears you, and answers. Without music, what you play is its beginning.</p>
  <ul class="phrases" aria-label="Phrases"></ul>`;

export class Keyboard {
  constructor(duet) {
    this.duet = duet;
    this.first = 60; // the pitch of the first key
    this.isOpen = false;
    this.pressed = new Map(); // what presses, a pointer or a key of the computer → pitch
    const panel = made(HTML, "keyboard");
    this.find = (selector) => panel.querySelector(selector);
    this.panel = { name: "Keyboard", element: panel, toggled: (isOpen) => this.toggle(isOpen) };
    this.addKeys();
    const [down, up] = panel.querySelectorAll(".octave button");
    down.addEventListener("click", () => this.shift(-12));
    up.addEventListener("click", () => this.shift(12));
    this.find(".answers").addEventListener("change", ({ target }) => (duet.answers = target.checked));
    this.find(".rest").addEventListener("change", ({ target }) => (duet.rest = target.value ? Number(target.value) : null));
    this.find(".voice").addEventListener("change", ({ target }) => (duet.voice = target.value === "" ? null : Number(target.value)));
    this.find(".letters").addEventListener("change", () => this.show());
    duet.changed = () => this.show();
    this.listeners = { keydown: (event) => this.keyDown(event), keyup: (event) => this.keyUp(event) };
    for (const [name, heard] of Object.entries(this.listeners)) document.addEventListener(name, heard, true);
    this.left = () => this.letGo();
    addEventListener("blur", this.left);
    this.shift(0);
  }

  close() {
    for (const [name, heard] of Object.entries(this.listeners)) document.removeEventListener(name, heard, true);
    removeEventListener("blur", this.left);
  }

  toggle(isOpen) {
    this.isOpen = isOpen;
    if (isOpen && navigator.userActivation?.hasBeenActive && this.duet.music.stage.state === "idle") this.duet.music.unlock();
    if (!isOpen) this.letGo();
    this.show();
  }

  get takesLetters() {
    return this.isOpen && this.find(".letters").checked;
  }

  begin({ voices }) {
    this.offer(voices);
  }

  tick() {
    this.duet.tick();
  }

  /* The voices of a checkpoint, to choose from. Nobody plays what the drummer is to go on from. */
  offer(all) {
    const voices = all.filter(({ beside }) => !beside);
    const select = this.find(".voice");
    const names = ["Any", ...voices.map(({ name }) => name)].join("\n");
    if (select.dataset.names === names) return;
    select.dataset.names = names;
    this.duet.voice = null;
    select.replaceChildren(new Option("Any", ""), ...voices.map(({ name }, index) => new Option(name, String(index))));
    select.closest("label").hidden = voices.length < 2;
  }

  shift(semitones) {
    this.letGo();
    this.first = Math.min(HIGHEST, Math.max(LOWEST, this.first + semitones));
    this.find("output").textContent = `${noteName(this.first, 0)}–${noteName(this.first + KEYS - 1, 0)}`;
    [...this.find(".piano").children].forEach((key, step) => key.setAttribute("aria-label", noteName(this.first + step, 0)));
  }

  addKeys() {
    const piano = this.find(".piano");
    for (let step = 0; step < KEYS; step++) {
      const key = element("button", (BLACK.includes(step % 12) ? "black" : "white") + (step > 12 ? " upper" : ""));
      key.tabIndex = step ? -1 : 0;
      key.append(Object.assign(element("kbd", "", LETTERS[step] ?? ""), { ariaHidden: "true" }));
      const touch = (event) => {
        const { top, height } = key.getBoundingClientRect();
        this.press(event.pointerId, this.first + step, Math.round(50 + (70 * (event.clientY - top)) / height), event.timeStamp);
      };
      key.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        key.releasePointerCapture(event.pointerId); // so that one can slide along the keys
        touch(event);
      });
      key.addEventListener("pointerenter", (event) => event.buttons & 1 && touch(event));
      const leave = (event) => this.release(event.pointerId, event.timeStamp);
      for (const name of ["pointerup", "pointerleave", "pointercancel"]) key.addEventListener(name, leave);
      key.addEventListener("keydown", (event) => this.keyOnPiano(event, step));
      key.addEventListener("keyup", (event) => this.release(event.code, event.timeStamp));
      key.addEventListener("contextmenu", (event) => event.preventDefault());
      piano.append(key);
    }
  }

  /* With the focus on a key: Enter and Space play it, the arrows go to its neighbours. */
  keyOnPiano(event, step) {
    const to = { ArrowLeft: step - 1, ArrowRight: step + 1 }[event.key];
    const keys = this.find(".piano").children;
    if (to !== undefined && keys[to]) {
      keys[step].tabIndex = -1;
      keys[to].tabIndex = 0;
      keys[to].focus();
    } else if (["Enter", " "].includes(event.key)) {
      if (!event.repeat) this.press(event.code, this.first + step, VELOCITY, event.timeStamp);
    } else return;
    event.preventDefault();
  }

  keyDown(event) {
    const at = event.composedPath()[0];
    const isBusy = event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]");
    const isTyping = at.closest?.(TAKES_LETTERS);
    if (!this.takesLetters || isBusy || isTyping || this.duet.music.stage.find("dialog").open) return;
    const step = CODES.indexOf(event.code);
    if (step < 0 && !OCTAVES[event.code]) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // K and S are commands otherwise
    if (event.repeat) return;
    if (step < 0) this.shift(OCTAVES[event.code]);
    else this.press(event.code, this.first + step, VELOCITY, event.timeStamp);
  }

  keyUp(event) {
    this.release(event.code, event.timeStamp);
  }

  press(by, pitch, velocity, stamp) {
    this.release(by, stamp);
    this.pressed.set(by, pitch);
    this.duet.press(pitch, velocity, stamp);
  }

  release(by, stamp) {
    if (!this.pressed.has(by)) return;
    this.duet.release(this.pressed.get(by), stamp);
    this.pressed.delete(by);
  }

  letGo() {
    for (const by of [...this.pressed.keys()]) this.release(by, performance.now());
  }

  show() {
    const { duet, first } = this;
    [...this.find(".piano").children].forEach((key, step) => key.classList.toggle("down", duet.down.has(first + step)));
    this.find(".piano").classList.toggle("lettered", this.find(".letters").checked);
    duet.music.stage.find(".playing-keys").hidden = !this.takesLetters;
    const list = this.find(".phrases");
    const now = JSON.stringify([duet.phrases.map(({ name }) => name), duet.beginning?.name]);
    if (list.dataset.shown === now) return;
    list.dataset.shown = now;
    list.replaceChildren(...duet.phrases.map((phrase) => this.row(phrase)));
  }

  row(phrase) {
    const { duet } = this;
    const notes = phrase.messages.filter(([, status, , velocity]) => status === ON && velocity).length;
    const row = element("li");
    const label = `Phrase ${phrase.name}`;
    const use = small("Use as beginning", `${label}: use as beginning`, () => {
      duet.beginning = duet.beginning === phrase ? null : phrase;
      this.show();
    });
    use.ariaPressed = String(duet.beginning === phrase);
    const seconds = phrase.messages.at(-1)[0].toFixed(1);
    row.append(
      element("span", "", `${label} · ${notes} ${notes === 1 ? "note" : "notes"}, ${seconds} s`),
      use,
      small("MIDI", `${label}: download as MIDI`, () => this.download(phrase)),
      small("Remove", `${label}: remove`, () => duet.remove(phrase)),
    );
    return row;
  }

  async download({ name, voice, messages }) {
    try {
      const answer = await post("phrase", { phrase: { at: 0, voice, messages } });
      handOver(await answer.blob(), `phrase-${name}.mid`);
    } catch (error) {
      this.duet.music.stage.say(error.message);
    }
  }
}
