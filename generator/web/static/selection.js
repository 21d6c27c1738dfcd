// Which bars are selected on the roll: from the bar where one began to the bar where one is.

/* The bars that are known with their ends, by the seconds of their lines: [[from, until], …]. */
export const barsOf = (lines) => lines.slice(0, -1).map((from, index) => [from, lines[index + 1]]);

/* The bar around a moment, or the nearest one; -1 without any. */
export function barAt(bars, seconds) {
  const inside = bars.findIndex(([from, until]) => from <= seconds && seconds < until);
  if (inside >= 0 || !bars.length) return inside;
  return seconds < bars[0][0] ? 0 : bars.length - 1;
}

/* A selection {anchor, focus}, of moments in two bars, as [from, until] in seconds; null if its bars are not here. */
export function extent(bars, selection) {
  if (!selection || !bars.length) return null;
  const [first, last] = [selection.anchor, selection.focus].map((moment) => barAt(bars, moment)).sort((one, other) => one - other);
  return [bars[first][0], bars[last][1]];
}

/* The selection one bar further to a side (-1 or 1); at first the last bar that was heard by `now`. */
export function step(bars, selection, side, now) {
  if (!bars.length) return null;
  const middle = (index) => (bars[index][0] + bars[index][1]) / 2;
  if (!selection) {
    const heard = bars.findLastIndex(([, until]) => until <= now);
    const moment = middle(Math.max(0, heard));
    return { anchor: moment, focus: moment };
  }
  const focus = Math.max(0, Math.min(barAt(bars, selection.focus) + side, bars.length - 1));
  return { ...selection, focus: middle(focus) };
}
