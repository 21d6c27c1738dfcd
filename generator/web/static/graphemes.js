// What a reader takes for one character may be several code points, such as a letter and its accents: a grapheme.

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const LONGEST = 32; // code points; whoever stacks more accents sees them one by one

/* The graphemes of a text: [{segment, index}, …], the index in UTF-16 units. */
export const graphemes = (text) => [...segmenter.segment(text)];

export const codePoints = (text) => [...text].length;

/* How many of the code points that wait may be typed, at most `count`, so that no grapheme is cut: an accent may still
   come, unless the text has ended. */
export function typable(waiting, count, hasEnded) {
  let whole = 0;
  for (const { segment } of segmenter.segment(waiting.slice(0, count + LONGEST).join(""))) {
    const next = whole + codePoints(segment);
    const mayGrow = next === waiting.length && !hasEnded && next - whole < LONGEST;
    if (next > count || mayGrow) break;
    whole = next;
  }
  return whole;
}
