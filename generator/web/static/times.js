// Times of the music, in seconds of the stream.

/* Whether a time lies before another one; the server rounds both. */
export const isBefore = (seconds, other) => seconds < other - 1e-3;
