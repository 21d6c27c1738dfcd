// What is known of the units of a checkpoint, and how one of them is found: by its number, or by what it follows.

/**
 * A row of `labels`: the layer, the unit, what it follows, and how closely, from 0 to 1.
 * @typedef {{ layers: number, units: number, constants: number[][], labels: [number, number, string, number][] }} Units
 */

const SLOWEST = 64;
const MOST_FOUND = 8;
const OF_EACH = 2; // units that follow the same
const LEAST_NATS = 0.01; // that a gate contributes, to be named

/** Which rows a heat map shows. */
export const ROWS = new Map([
  ["slowest", `the ${SLOWEST} slowest`],
  ["slow first", "all, slowest first"],
  ["number", "all, by number"],
]);

/* The units of a layer in the order of the rows; `followed` is among them in any case. @param {Units} units */
export function rowsOf({ units, constants }, layer, which, followed = -1) {
  const all = Array.from({ length: units }, (_, unit) => unit);
  if (which === "number") return all;
  all.sort((one, other) => constants[layer][other] - constants[layer][one] || one - other);
  return which === "slowest" ? all.filter((unit, row) => row < SLOWEST || unit === followed) : all;
}

/* What a listener types: `37`, `1.37` or `layer 1 unit 37` as {layer, unit}; anything else is null. */
export function numbered(text, layer) {
  const found = /^\s*(?:(?:layer\s+)?(\d+)\s*[.,/ ]\s*)?(?:unit\s+)?(\d+)\s*$/i.exec(text);
  return found && { layer: found[1] === undefined ? layer : Number(found[1]), unit: Number(found[2]) };
}

/* The units that follow what is typed, those that follow it most closely first. @param {Units} units */
export function meaning({ labels }, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = labels.filter(([, , label]) => words.every((word) => label.toLowerCase().includes(word)));
  found.sort((one, other) => other[3] - one[3]);
  const isOfFirst = (row, index) => found.slice(0, index).filter(([, , label]) => label === row[2]).length < OF_EACH;
  return found.filter(isOfFirst).slice(0, MOST_FOUND);
}

/* What is known of one unit, in a sentence or two. @param {Units} units */
export function about({ constants, labels }, layer, unit) {
  const constant = constants[layer][unit];
  const long = constant >= 9999 ? "more than 9,999" : constant >= 10 ? Math.round(constant).toLocaleString("en") : constant.toFixed(1);
  const known = labels.filter(([inLayer, one]) => inLayer === layer && one === unit).sort((one, other) => other[3] - one[3]);
  const follows = known.length ? ` It follows ${known[0][2]} (${known[0][3].toFixed(2)} of 1).` : "";
  return `Unit ${unit} of layer ${layer}. What is written into its cell fades to a third in ${long} tokens.${follows}`;
}

/* Which gates spoke for a token, and which against it, as [part, layer, unit, nats]: a heading, and those that mattered. */
export function reasonsOf(words, found) {
  const mattered = found.filter(([, , , nats]) => Math.abs(nats) >= LEAST_NATS);
  if (!mattered.length) return { said: `${words}: no single gate mattered.`, mattered };
  const said = `${words}: which gates spoke for it, and which against it (below 0). 0.7 nats: twice as likely with this gate as without it.`;
  return { said, mattered };
}
