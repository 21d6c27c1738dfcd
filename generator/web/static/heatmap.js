// A heat map of units and time: a row for each unit, a column for each token.

import { GUTTER } from "./roll.js";

const SLOTS = 1024; // columns that are kept painted
const COMING = 0.42; // how opaque a column is that is still to come
const ROW_LABELS = 14; // pixels between two numbers of units at least

/* 256 colours as bytes: gates from the paper to their colour; all else from the one colour below 0 to the other above. */
export function palette(paper, colour, below = null) {
  const found = new Uint8ClampedArray(256 * 4);
  for (let byte = 0; byte < 256; byte++) {
    const share = below ? Math.abs(byte / 127.5 - 1) : byte / 255;
    const towards = below && byte < 127.5 ? below : colour;
    for (let channel = 0; channel < 3; channel++) found[byte * 4 + channel] = paper[channel] + (towards[channel] - paper[channel]) * share;
    found[byte * 4 + 3] = 255;
  }
  return found;
}

/* The red, green and blue of #rrggbb. */
export const channels = (colour) => [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));

export class Heatmap {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.painted = document.createElement("canvas");
    this.painted.width = SLOTS;
    this.rows = []; // the units, from the top down
    this.renew();
  }

  /* With other colours, other rows or other columns all is painted anew. */
  renew(rows = this.rows, colours = this.colours) {
    this.rows = rows;
    this.colours = colours;
    this.painted.height = Math.max(1, rows.length);
    this.known = new Array(SLOTS).fill(null);
  }

  /** @param {import("./columns.js").Columns} columns */
  paint(columns, index) {
    const slot = (columns.start + index) % SLOTS;
    const values = columns.values[index];
    if (this.known[slot] === values) return slot;
    const { rows, colours } = this;
    const image = new ImageData(1, rows.length);
    rows.forEach((unit, row) => image.data.set(colours.subarray(values[unit] * 4, values[unit] * 4 + 4), row * 4));
    this.painted.getContext("2d").putImageData(image, slot, 0);
    this.known[slot] = values;
    return slot;
  }

  /**
   * Draw what is in sight. `x` says where a position is, in pixels; `unit` is the one that is followed, `cursor` a column.
   * @param {{ columns: import("./columns.js").Columns, x: (position: number) => number, now: number, head: number, unit: number,
   *   cursor: number, look: any, width: number, height: number, ratio: number }} view
   */
  draw({ columns, x, now, head, unit, cursor, look, width, height, ratio }) {
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { rows } = this;
    const tall = height / rows.length;
    const snap = (pixel) => Math.round(pixel * ratio) / ratio; // so that no seams are seen
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, width - GUTTER, height);
    context.clip();
    context.imageSmoothingEnabled = tall * ratio < 1;
    const { places } = columns;
    for (let index = 0; index < columns.length && rows.length; index++) {
      const left = snap(x(places[index]));
      const right = Math.max(left + 1 / ratio, snap(x(places[index + 1])));
      if (right < GUTTER || left > width) continue;
      context.globalAlpha = places[index] > now ? COMING : 1;
      context.drawImage(this.painted, this.paint(columns, index), 0, 1, rows.length, left, 0, right - left, height);
    }
    context.globalAlpha = 1;
    if (cursor >= 0 && cursor < columns.length) {
      context.strokeStyle = look.ink(0.8);
      context.lineWidth = 1;
      context.strokeRect(x(places[cursor]) - 0.5, 0.5, x(places[cursor + 1]) - x(places[cursor]) + 1, height - 1);
    }
    context.fillStyle = look.gold(0.9);
    context.fillRect(head - 0.75, 0, 1.5, height);
    context.restore();
    this.drawRows(context, look, unit, tall, width);
  }

  /* Some numbers of units, and a frame around the one that is followed. */
  drawRows(context, look, unit, tall, width) {
    const chosen = this.rows.indexOf(unit);
    const middle = (row) => Math.max(7, (row + 0.5) * tall);
    context.font = "10px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    const step = Math.ceil(ROW_LABELS / tall);
    for (let row = 0; row < this.rows.length; row += step) {
      if (chosen >= 0 && Math.abs(middle(row) - middle(chosen)) < ROW_LABELS) continue;
      context.fillStyle = look.ink(0.65);
      context.fillText(String(this.rows[row]), GUTTER - 5, middle(row));
    }
    if (chosen >= 0) {
      context.font = "600 11px system-ui, sans-serif";
      context.fillStyle = look.ink(1);
      context.fillText(String(unit), GUTTER - 5, middle(chosen));
      context.strokeStyle = look.ink(0.85);
      context.lineWidth = 1;
      const high = Math.max(tall, 3);
      context.strokeRect(GUTTER + 0.5, middle(chosen) - high / 2 - 0.5, width - GUTTER - 1, high + 1);
    }
    context.textAlign = "start";
  }
}
