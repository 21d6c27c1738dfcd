// What one takes home: files and links of the live take and of the kept ones.

import { link } from "./link.js";
import { post } from "./server.js";

const LABELS = { mid: "MIDI", wav: "WAV", musicxml: "MusicXML", svg: "Score", txt: "Text", take: "Take" };

export class Shelf {
  constructor(stage) {
    this.stage = stage;
  }

  /* The buttons for the live take, and a row for each kept one. */
  show() {
    const { stage } = this;
    const now = stage.find(".downloads");
    if (!now.childElementCount) {
      now.append(
        ...this.downloads((button) => this.download(button, stage.live.take, stage.live.title, stage.view.position)),
        quiet("link", "Link", "Copy a link to this take", () => this.share(stage.origin)),
      );
    }
    const rows = stage.data.kept.map(({ take, title, length, origin }) => {
      const row = document.createElement("li");
      const files = element("span", "files");
      files.append(
        quiet("replay", "Play", "Play from its beginning", () => stage.wait("replay", take)),
        ...this.downloads((button) => this.download(button, take, title, length)),
        quiet("link", "Link", "Copy a link to this take", () => this.share(origin)),
        quiet("remove", "Remove", "Remove from the kept takes", () => stage.trigger("remove", take)),
      );
      row.append(element("span", "name", title), element("span", "words", stage.view.words(length)), files);
      return row;
    });
    stage.find(".kept ul").replaceChildren(...rows);
    stage.find(".kept").hidden = rows.length === 0;
  }

  downloads(action) {
    return this.stage.data.formats.map((format) => {
      const button = quiet("download", LABELS[format], `Download as ${LABELS[format]}`, action);
      button.dataset.format = format;
      return button;
    });
  }

  /* Build a file of what has been heard, now, and hand it over. */
  async download(button, take, title, position) {
    const { format } = button.dataset;
    button.classList.add("busy");
    button.disabled = true;
    try {
      const answer = await post("download", { visitor: this.stage.data.visitor, take, until: position, format });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-")}.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      this.stage.say(error.message);
    } finally {
      button.classList.remove("busy");
      button.disabled = false;
    }
  }

  /* Copy a link that draws a take again. */
  async share(origin) {
    try {
      const address = await link(origin);
      await navigator.clipboard.writeText(address).then(
        () => this.stage.say("The link is copied. Whoever opens it hears this take from its beginning."),
        () => prompt("Copy this link:", address),
      );
    } catch (error) {
      this.stage.say(error.message);
    }
  }
}

function element(tag, className, textContent = "") {
  return Object.assign(document.createElement(tag), { className, textContent });
}

/* A small button. */
function quiet(name, text, title, action) {
  const button = Object.assign(element("button", `quiet ${name}`, text), { title });
  button.addEventListener("click", () => action(button));
  return button;
}
