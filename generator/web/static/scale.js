// Where the seconds of the music are on a canvas that moves with it, the piano roll or the heat map below it.

const FUTURE = 2.5; // seconds to the right of the play head
const STEP = 4; // seconds by which it goes on where motion is not wanted: then only the play head moves

/* Where the play head is at a moment, and how many pixels a second takes. */
export function scaleOf(width, now, isStill) {
  const wide = Math.max(46, Math.min(104, width / 9));
  const ahead = isStill ? FUTURE + STEP - (now % STEP) : FUTURE;
  return { head: width - ahead * wide, wide };
}
