// When a note's sound begins to fade.

/* The position, or null as long as it is not known. `pedals` are the changes of its voice's pedal, [position, down], in order
   of time; whatever comes before `horizon` is known; `until` is where its key goes down again. */
export function releaseOf({ end, until }, pedals, horizon, ended) {
  let at = end;
  if (pedals.length && pedals[0][0] <= end) {
    if (horizon <= end && !ended) return null; // the pedal at its end is not known yet
    if (pedals.findLast(([change]) => change <= end)?.[1]) {
      at = pedals.find(([change, down]) => change > end && !down)?.[0] ?? Infinity;
    }
  }
  at = Math.min(at, until);
  if (at < Infinity) return at;
  return ended ? Math.max(end, horizon) : null;
}
