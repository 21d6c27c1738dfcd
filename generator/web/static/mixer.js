// The panel for how the music sounds: instruments, levels, transposition, tempo, metronome.

import { variable } from "./colours.js";
import { made } from "./elements.js";
import { showLegend } from "./legend.js";
import { RANGE, RATES } from "./mix.js";
import { programBox } from "./programs.js";

const ROW = `
  <span class="name"></span>
  <label class="level"><span class="unseen"></span><input type="range" min="0" max="1" step="0.05" /></label>
  <button class="quiet mute">Mute</button>
  <button class="quiet solo">Solo</button>`;

export class Mixer {
  constructor(music) {
    this.music = music;
    this.element = made(`
      <div class="strips" role="list"></div>
      <div class="whole">
        <label class="transpose">Transpose <select></select></label>
        <label class="rate">Speed <select></select></label>
        <label class="metronome"><input type="checkbox" /> Metronome</label>
        <button class="quiet reset">Reset</button>
      </div>
      <p class="remark"></p>`);
    this.panel = { name: "Mixer", element: this.element };
    const [transpose, rate, metronome] = this.fields();
    for (let steps = RANGE; steps >= -RANGE; steps--) transpose.append(new Option(semitones(steps), String(steps)));
    for (const factor of RATES) rate.append(new Option(`${Math.round(100 * factor)} %`, String(factor)));
    transpose.addEventListener("change", () => this.change((mix) => (mix.transpose = Number(transpose.value))));
    rate.addEventListener("change", () => this.change((mix) => (mix.rate = Number(rate.value))));
    metronome.addEventListener("change", () => this.change((mix) => (mix.metronome = metronome.checked)));
    this.element.querySelector(".reset").addEventListener("click", () => {
      music.mix.reset();
      this.show();
      this.apply();
    });
  }

  fields() {
    return [".transpose select", ".rate select", ".metronome input"].map((name) => this.element.querySelector(name));
  }

  change(action) {
    const { music } = this;
    action(music.mix);
    music.mix.save();
    this.mark();
    this.apply();
  }

  /* Take over what is remembered of a checkpoint, and get its instruments. */
  open({ checkpoint, written, tempos }, voices) {
    const { music } = this;
    music.voices = voices;
    music.mix.open(checkpoint, voices);
    music.rate = music.mix.rate;
    music.sheet.written = written;
    this.written = written;
    this.tempos = tempos;
    this.show();
    this.level();
    this.applied = this.sound;
    music.output.programs();
    return music.load(music.mix.all);
  }

  /* Levels change at once. What has not begun to sound is played anew if it sounds otherwise now. */
  async apply() {
    const { mix, roll } = this.music;
    this.level();
    for (const note of roll.notes) note[2] = mix.pitch(note[4], note[5]);
    roll.sharps = mix.sharps(this.music.sharps);
    if (this.sound === this.applied) return;
    this.applied = this.sound;
    await this.music.load(mix.all);
    this.music.again(mix.rate);
  }

  level() {
    const { mix, synth, element } = this.music;
    synth.setLevels(mix.voices.map((_, voice) => mix.level(voice)));
    showLegend(element.querySelector(".voices"), this.music);
  }

  /* What of the mix is in the notes themselves, and not in the levels. */
  get sound() {
    const { mix } = this.music;
    return JSON.stringify([mix.transpose, mix.rate, mix.all]);
  }

  /* Show the mix of another checkpoint. Some music has its tempo among the constraints; some has no beats. */
  show() {
    const { mix } = this.music;
    const [transpose, rate, metronome] = this.fields();
    transpose.value = mix.transpose;
    rate.value = mix.rate;
    metronome.checked = mix.metronome;
    rate.parentElement.hidden = this.tempos;
    metronome.parentElement.hidden = !this.written;
    const tempo = this.tempos ? "The tempo is set in the side bar. " : "";
    this.element.querySelector(".remark").textContent = `${tempo}Downloads have your instruments; all else of the mixer is for the ear alone.`;
    this.element.querySelector(".strips").replaceChildren(...mix.voices.map((_, index) => this.row(index, variable(index))));
    this.mark();
  }

  row(index, colour) {
    const { mix } = this.music;
    const { name, drum } = mix.brought[index];
    const row = made(ROW);
    row.setAttribute("role", "listitem");
    row.style.setProperty("--voice", colour);
    row.querySelector(".name").textContent = name;
    const box = programBox(drum);
    box.classList.add("program");
    box.setAttribute("aria-label", `Instrument of ${name}`);
    box.value = mix.voices[index].program;
    box.addEventListener("change", () => this.change(({ voices }) => (voices[index].program = Number(box.value))));
    row.querySelector(".name").after(box);
    const level = row.querySelector(".level input");
    row.querySelector(".level span").textContent = `Level of ${name}`;
    level.value = mix.voices[index].volume;
    level.addEventListener("input", () => this.change(({ voices }) => (voices[index].volume = Number(level.value))));
    for (const [button, field] of [["mute", "muted"], ["solo", "solo"]]) {
      const toggle = () => this.change(({ voices }) => (voices[index][field] = !voices[index][field]));
      row.querySelector(`.${button}`).addEventListener("click", toggle);
    }
    return row;
  }

  /* Which voices are muted, and which are heard alone. */
  mark() {
    [...this.element.querySelectorAll(".strips > div")].forEach((row, index) => {
      const { muted, solo } = this.music.mix.voices[index];
      const { name } = this.music.mix.brought[index];
      for (const [button, isOn] of [["mute", muted], ["solo", solo]]) {
        const toggle = row.querySelector(`.${button}`);
        toggle.setAttribute("aria-pressed", isOn);
        toggle.setAttribute("aria-label", `${toggle.textContent} ${name}`);
      }
      row.classList.toggle("silent", this.music.mix.level(index) === 0);
    });
  }
}

/* The volume of everything, beside the buttons. */
export function volumeSlider(synth) {
  const label = document.createElement("label");
  label.innerHTML = 'Volume <input type="range" min="0" max="1" step="0.01" value="0.8" aria-label="Volume">';
  const input = label.querySelector("input");
  input.addEventListener("input", () => synth.setVolume(Number(input.value)));
  return label;
}

function semitones(steps) {
  if (!steps) return "not at all";
  const size = Math.abs(steps) === 12 ? "an octave" : `${Math.abs(steps)} semitone${Math.abs(steps) === 1 ? "" : "s"}`;
  return `${size} ${steps > 0 ? "up" : "down"}`;
}
