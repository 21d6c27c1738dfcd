// One unit through the piece: lines of its cell and its gates, and below them the tokens, tinted by the cell.

import { GUTTER } from "./roll.js";

/** The parts of a unit: their place in a row of `followed`, their name, their colour in a theme's list, and their dashes. */
export const PARTS = [
  { part: "cell", place: 3, name: "Cell", colour: 0, dashes: [], width: 2.2 },
  { part: "input_gate", place: 0, name: "Input gate", colour: 1, dashes: [5, 3], width: 1.4 },
  { part: "forget_gate", place: 1, name: "Forget gate", colour: 2, dashes: [], width: 1.2 },
  { part: "output_gate", place: 2, name: "Output gate", colour: 4, dashes: [1.5, 3], width: 1.6 },
];
const STRIP = 22; // pixels for the tokens
const TIGHT = 5; // pixels by which characters may come nearer than notes
const COMING = 0.42;
const NOTE = /^[A-G][♯♭𝄪𝄫]*-?\d+$/u;

/* What the strip shows of a token: a note or a character; it has no room for others. */
export function shortWords(words) {
  const said = { space: "␣", "new line": "⏎" }[words] ?? words;
  return NOTE.test(said) || [...said].length <= 2 ? said : "";
}

/* The height of a value in the plot: gates are between the middle and the top, cells on both sides of the middle. */
export const heightOf = (part, value) => (part === "cell" ? Math.tanh(value) : value);

/* As in `Heatmap.draw`; the colours are those of `colours.js`. */
export function drawLines(canvas, { columns, x, now, head, cursor, look, width, height, ratio }) {
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const room = height - STRIP - 8;
  const y = (value) => 4 + ((1 - value) / 2) * room;
  context.font = "10px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const value of [1, 0, -1]) {
    context.fillStyle = look.ink(value === 0 ? 0.25 : 0.1);
    context.fillRect(GUTTER, Math.round(y(value)), width - GUTTER, 1);
    context.fillStyle = look.ink(0.65);
    context.fillText(value < 0 ? "−1" : String(value), GUTTER - 5, Math.max(6, y(value)));
  }
  context.textAlign = "start";
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height);
  context.clip();
  const { places, followed } = columns;
  const seen = followed.flatMap((_, index) => (x(places[index + 1]) >= GUTTER && x(places[index]) <= width ? [index] : []));
  for (const { part, place, colour, dashes, width: wide } of [...PARTS].reverse()) {
    context.strokeStyle = look.colours[colour];
    context.lineWidth = wide;
    context.setLineDash(dashes);
    context.beginPath();
    for (const index of seen) {
      const [left, right] = [x(places[index]), x(places[index + 1])];
      context.lineTo((left + right) / 2, y(heightOf(part, followed[index][place])));
    }
    context.stroke();
  }
  context.setLineDash([]);
  context.fillStyle = look.paper(1 - COMING);
  context.fillRect(head, 0, width - head, height - STRIP);
  drawStrip(context, { columns, x, look, height, seen, now });
  if (seen.includes(cursor)) {
    context.strokeStyle = look.ink(0.8);
    context.lineWidth = 1;
    context.strokeRect(x(places[cursor]) - 0.5, 0.5, x(places[cursor + 1]) - x(places[cursor]) + 1, height - 1);
  }
  context.fillStyle = look.gold(0.9);
  context.fillRect(head - 0.75, 0, 1.5, height);
  context.restore();
}

/* The tokens, on the colour of the cell; words that would lie on others are left out. */
function drawStrip(context, { columns, x, look, height, seen, now }) {
  const { places, followed, words } = columns;
  const top = height - STRIP;
  let free = GUTTER;
  context.font = "12px system-ui, sans-serif";
  for (const index of seen) {
    const [left, right] = [x(places[index]), x(places[index + 1])];
    const cell = Math.tanh(followed[index][3]);
    const tint = Math.round(Math.abs(cell) * 150).toString(16).padStart(2, "0");
    context.globalAlpha = places[index] > now ? COMING : 1;
    context.fillStyle = look.colours[cell < 0 ? 3 : 0] + tint;
    context.fillRect(left, top, Math.max(1, right - left), STRIP);
    const said = shortWords(words[index]);
    const wide = said ? context.measureText(said).width : 0;
    const begin = (left + right - wide) / 2;
    if (!said || begin < free - (said.length === 1 ? TIGHT : 0)) continue;
    free = begin + wide + 2;
    context.fillStyle = look.ink(1);
    context.fillText(said, begin, top + STRIP / 2 + 0.5);
  }
  context.globalAlpha = 1;
}
