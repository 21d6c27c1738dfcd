// What the units did, a column for each token, as far as the server has told.

import { isBefore } from "./times.js";

/**
 * An answer of the server: `start` is the position of the first token in tokens, `at` when each came, in seconds or characters;
 * `values` has a byte for each unit of each column, in base64; `followed` input, forget and output gate and cell of one unit.
 * @typedef {{ start: number, at: number[], words: string[], values: string, followed: number[][] }} Answer
 */

const SHORTEST = 0.05; // of a column, in seconds or characters

export class Columns {
  constructor() {
    this.clear();
  }

  clear() {
    this.start = 0; // the position in tokens of the first column
    this.at = [];
    this.words = [];
    this.values = []; // a Uint8Array with one byte for each unit
    this.followed = [];
    this.version = (this.version ?? 0) + 1; // an answer that was asked for before is of no use any more
  }

  get length() {
    return this.at.length;
  }

  /* The position in tokens of the column after the last. */
  get next() {
    return this.start + this.length;
  }

  /** @param {Answer} answer */
  add({ start, at, words, values, followed }) {
    if (start !== this.next) {
      this.clear();
      this.start = start;
    }
    const bytes = Uint8Array.from(atob(values), (character) => character.charCodeAt(0));
    const units = bytes.length / at.length;
    this.at.push(...at);
    this.words.push(...words);
    this.followed.push(...followed);
    for (let column = 0; column < at.length; column++) this.values.push(bytes.subarray(column * units, (column + 1) * units));
    this.edges = null;
  }

  /* What came at a position or later will come otherwise. */
  takeBack(from) {
    this.cut(0, this.at.filter((at) => isBefore(at, from)).length);
    this.version += 1;
  }

  /* Forget what came before a position. */
  forget(before) {
    const first = this.at.findIndex((at) => at >= before);
    this.cut(first < 0 ? this.length : first, this.length);
  }

  cut(first, past) {
    if (first === 0 && past === this.length) return;
    this.start += first;
    for (const name of ["at", "words", "values", "followed"]) this[name] = this[name].slice(first, past);
    this.edges = null;
  }

  /* Where each column begins, and where the last one ends: those of one moment share the time up to the next one. */
  get places() {
    this.edges ??= spread(this.at);
    return this.edges;
  }

  /* The column at a position; -1 if there is none. */
  indexAt(position) {
    const { places } = this;
    return position < places[this.length] ? this.at.findLastIndex((_, index) => places[index] <= position) : -1;
  }
}

/* Times of which several may be equal, and an end, so that each is later than the one before. */
export function spread(at) {
  const places = [];
  for (let first = 0, past; first < at.length; first = past) {
    past = first + 1;
    while (past < at.length && !isBefore(at[first], at[past])) past += 1;
    const end = past < at.length ? at[past] : at[first] + SHORTEST * (past - first);
    for (let index = first; index < past; index++) places.push(at[first] + ((end - at[first]) * (index - first)) / (past - first));
    if (past === at.length) places.push(end);
  }
  return places;
}

/* A byte of a part as the number that it stands for: of a cell, what its tanh stands for, as far as a byte can say. */
export function valueOf(byte, part) {
  if (part.endsWith("_gate")) return byte / 255;
  return Math.atanh(Math.max(-0.996, Math.min(0.996, (byte / 255) * 2 - 1)));
}

export const signed = (value) => `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;

/* A byte of a part in words; the first and the last byte of a cell stand for all that is beyond. */
export function said(byte, part) {
  if (part === "cell" && (byte === 0 || byte === 255)) return byte ? "above 3" : "below −3";
  return signed(valueOf(byte, part));
}
