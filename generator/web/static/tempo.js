// The tempo of the music on the page: where each beat lies, in seconds of the stream.

const DEFAULT = 120; // quarters a minute, where the music says nothing

export class TempoMap {
  constructor(perMinute = DEFAULT) {
    this.changes = [[0, perMinute]]; // [seconds, quarters a minute]
  }

  /* Add what a chunk says; what it replaces is forgotten. */
  add({ from, tempos }) {
    if (from !== undefined) this.changes = this.changes.filter(([at], index) => !index || at < from);
    this.changes.push(...tempos);
  }

  at(seconds) {
    return this.changes.findLast(([at]) => at <= seconds)?.[1] ?? this.changes[0][1];
  }

  /* The quarters from the stream's second 0 to another one. */
  quarters(seconds) {
    return this.changes.reduce((sum, [at, perMinute], index) => {
      const end = Math.min(this.changes[index + 1]?.[0] ?? Infinity, seconds);
      return sum + (Math.max(0, end - at) * perMinute) / 60;
    }, 0);
  }

  /* The second at which so many quarters are over. */
  seconds(quarters) {
    let left = quarters;
    for (const [index, [at, perMinute]] of this.changes.entries()) {
      const here = (((this.changes[index + 1]?.[0] ?? Infinity) - at) * perMinute) / 60;
      if (left <= here) return at + (left * 60) / perMinute;
      left -= here;
    }
  }
}
