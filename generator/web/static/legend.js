// The voices above the view, each with its colour and the note it sings.

import { variable } from "./colours.js";
import { element } from "./elements.js";
import { noteName } from "./names.js";

/* Show the voices of the music in a list; those that the mixer silences are struck out. */
export function showLegend(list, { voices, roll, mix }) {
  if (list.dataset.voices !== JSON.stringify(voices)) {
    list.dataset.voices = JSON.stringify(voices);
    list.replaceChildren(
      ...voices.map(({ name }, index) => {
        const item = element("li");
        item.style.setProperty("--voice", variable(index));
        item.append(element("span", "name", name), element("span", "note"));
        return item;
      }),
    );
  }
  const items = [...list.children];
  items.forEach((item, index) => item.classList.toggle("silent", mix.level(index) === 0));
  roll.onSounding = (sounding) => {
    items.forEach((item, index) => {
      const names = sounding.filter(([, , , , voice]) => voice === index).map(([, , pitch]) => noteName(pitch, roll.sharps));
      const text = names.slice(0, 3).join(" ");
      if (item.lastChild.textContent !== text) item.lastChild.textContent = text;
      item.classList.toggle("sounding", names.length > 0);
    });
  };
}
