// The panel Devices: which MIDI ports are played and heard, where the browser grants it.

import { Follower } from "./clock.js";
import { made } from "./elements.js";
import { CONTROL, OFF, ON, SUSTAIN } from "./messages.js";

const HTML = `
  <div class="row">
    <button class="connect">Connect MIDI</button>
    <label hidden>In <select class="in" aria-label="In"></select></label>
    <label hidden>Out <select class="out" aria-label="Out"></select></label>
    <label hidden><input type="checkbox" class="mute"> Only out: no sound from the page</label>
    <label hidden><input type="checkbox" class="clock"> Send the clock</label>
    <label hidden><input type="checkbox" class="external"> Follow a clock</label>
    <button class="panic" title="End every note, here and on all channels">Panic</button>
  </div>
  <p class="hint" role="status"></p>`;
const INVITATION = "Play with a MIDI keyboard, and let your instruments play the music. The browser asks for permission first.";
const INSECURE = "Browsers give MIDI only to pages on https or localhost: open this page there.";
const MISSING = "This browser has no MIDI: use Chrome, Edge or Firefox.";
const REFUSED = "The browser refused MIDI: allow it for this page in the browser's settings, and press Connect MIDI again.";
const NO_PORTS = "Connected, but there are no MIDI ports: plug an instrument in.";
const FOLLOWS = "Start, stop and tempo are followed; the beat is not.";
const FOLLOWS_LESS = "Start and stop are followed; this model has no tempo to set, and the beat is not followed.";

export class Midi {
  constructor(music, duet, output) {
    this.music = music;
    this.duet = duet;
    this.output = output;
    this.access = null;
    this.isClosed = false;
    this.input = null;
    this.wanted = { in: "", out: "" }; // the ports that were chosen; one that vanishes is chosen again once it is back
    const element = made(HTML, "midi");
    this.find = (selector) => element.querySelector(selector);
    this.panel = { name: "Devices", element };
    this.follower = new Follower(music.stage);
    this.follower.said = (tempo) => this.say(`The clock has ${tempo} quarters a minute. ${this.follows}`);
    this.find(".connect").addEventListener("click", () => this.connect());
    this.find(".panic").addEventListener("click", () => this.panic());
    for (const side of ["in", "out"]) {
      this.find(`.${side}`).addEventListener("change", ({ target }) => {
        this.wanted[side] = target.value;
        this.choose();
      });
    }
    this.find(".mute").addEventListener("change", () => this.choose());
    this.find(".clock").addEventListener("change", ({ target }) => {
      output.clock.isSent = target.checked;
      if (!target.checked) output.clock.stop();
    });
    this.find(".external").addEventListener("change", ({ target }) => {
      this.follower.isOn = target.checked;
      this.say(target.checked ? this.follows : "");
    });
    this.left = () => output.silence();
    addEventListener("pagehide", this.left);
    this.say(globalThis.isSecureContext ? (navigator.requestMIDIAccess ? INVITATION : MISSING) : INSECURE);
  }

  get follows() {
    return this.music.stage.data.tempos ? FOLLOWS : FOLLOWS_LESS;
  }

  say(text) {
    this.find(".hint").textContent = text;
  }

  async connect() {
    if (!navigator.requestMIDIAccess) return; // why is said already
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      this.say(REFUSED);
      return;
    }
    if (this.isClosed) return; // the page was left before the listener answered
    this.access.onstatechange = () => this.list();
    this.find(".connect").hidden = true;
    for (const label of this.find(".row").querySelectorAll("label")) label.hidden = false;
    [this.wanted.in = ""] = this.access.inputs.keys();
    this.list();
  }

  /* The ports that there are now. */
  list() {
    const { inputs, outputs } = this.access;
    for (const [side, ports] of Object.entries({ in: inputs, out: outputs })) {
      const select = this.find(`.${side}`);
      const names = [...ports.values()].map(({ id, name }) => new Option(name, id));
      select.replaceChildren(new Option("None", ""), ...names);
      select.value = ports.has(this.wanted[side]) ? this.wanted[side] : "";
    }
    this.say(inputs.size + outputs.size ? "" : NO_PORTS);
    this.choose();
  }

  choose() {
    const { access, output } = this;
    const input = access.inputs.get(this.find(".in").value) ?? null;
    if (input !== this.input) {
      if (this.input) this.input.onmidimessage = null;
      this.duet.letGo();
      this.input = input;
      if (input) input.onmidimessage = ({ data, timeStamp }) => this.hear(data, timeStamp);
    }
    output.use(access.outputs.get(this.find(".out").value) ?? null);
    this.music.synth.mute(Boolean(output.port) && this.find(".mute").checked);
  }

  hear(data, stamp) {
    const { duet } = this;
    const [status, first, second] = data;
    const kind = status & 0xf0;
    if (status >= 0xf0) this.follower.hear(data, stamp);
    else if (kind === ON && second) duet.press(first, second, stamp);
    else if (kind === ON || kind === OFF) duet.release(first, stamp);
    else if (kind === CONTROL && first === SUSTAIN) duet.sustain(second, stamp);
  }

  /* Nothing sounds any more, here and there. */
  panic() {
    const { music, duet } = this;
    duet.letGo();
    duet.reset();
    music.stage.stop();
    if (music.synth.context) music.synth.silence();
    this.output.silence();
  }

  tick() {
    const { state } = this.music.stage;
    if (this.state === "playing" && state !== "playing") this.output.silence();
    this.state = state;
  }

  close() {
    this.isClosed = true;
    removeEventListener("pagehide", this.left);
    if (this.access) this.access.onstatechange = null; // or a port that comes back would be played here
    if (this.input) this.input.onmidimessage = null;
    this.output.close();
  }
}
