// What is held of the units, as the option `clamp` writes it: PART LAYER.UNIT=VALUE, or PART LAYER=VALUE of a whole layer.

/** @typedef {{ part: string, layer: number, unit: number | null, value: number }} Clamp `unit` is null for a whole layer. */

/** What can be held: how it is called, its bounds on the page, and the values that have a button. */
export const HOLDABLE = new Map([
  ["forget_gate", { name: "forget gate", low: 0, high: 1, presets: [["Shut", 0], ["Open", 1]] }],
  ["input_gate", { name: "input gate", low: 0, high: 1, presets: [["Shut", 0], ["Open", 1]] }],
  ["output_gate", { name: "output gate", low: 0, high: 1, presets: [["Shut", 0], ["Open", 1]] }],
  ["cell", { name: "cell", low: -3, high: 3, presets: [["Empty", 0]] }],
  ["hidden", { name: "output", low: -1, high: 1, presets: [["Silence", 0]] }],
]);
const CLAMP = /^\s*(\w+)\s+(\d+)(?:\.(\d+))?\s*=\s*(\S+)\s*$/;

/* The clamps in the text of the option. @returns {Clamp[]} */
export function read(text) {
  const found = (text ?? "").split(",").map((one) => CLAMP.exec(one));
  return found.filter(Boolean).map(([, part, layer, unit, value]) => ({
    part,
    layer: Number(layer),
    unit: unit === undefined ? null : Number(unit),
    value: Number(value),
  }));
}

/* The text of the option. @param {Clamp[]} clamps */
export const write = (clamps) =>
  clamps.map(({ part, layer, unit, value }) => `${part} ${layer}${unit === null ? "" : `.${unit}`}=${value}`).join(", ");

const isSame = (one, other) => one.part === other.part && one.layer === other.layer && one.unit === other.unit;

/* The clamps and another one, in the place of an older one of the same unit; one of a layer replaces those of its units. */
export function put(clamps, clamp) {
  const covers = ({ part, layer }) => clamp.unit === null && part === clamp.part && layer === clamp.layer;
  return [...clamps.filter((one) => !isSame(one, clamp) && !covers(one)), clamp];
}

/* The clamps without one. */
export const without = (clamps, clamp) => clamps.filter((one) => !isSame(one, clamp));

/* The clamp of the same part of the same unit or layer, if there is one. @returns {Clamp | undefined} */
export const same = (clamps, clamp) => clamps.find((one) => isSame(one, clamp));

/* A clamp in words: forget gate of layer 0 at 1. */
export function words({ part, layer, unit, value }) {
  const name = HOLDABLE.get(part)?.name ?? part;
  const where = unit === null ? `layer ${layer}` : `unit ${unit} of layer ${layer}`;
  return `${name} of ${where} at ${Number(value.toFixed(2))}`;
}
