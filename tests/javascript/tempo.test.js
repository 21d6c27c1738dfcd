import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../../generator/web/static/clock.js";
import { channels } from "../../generator/web/static/output.js";
import { TempoMap } from "../../generator/web/static/tempo.js";

test("quarters and seconds are each other's inverse, over changes of tempo", () => {
  const tempo = new TempoMap(60);
  tempo.add({ tempos: [[4, 120], [6, 90]] });
  for (const [seconds, quarters] of [[0, 0], [3, 3], [4, 4], [5, 6], [6, 8], [8, 11]]) {
    equal(tempo.quarters(seconds), quarters);
    equal(tempo.seconds(quarters), seconds);
  }
  tempo.add({ from: 6, tempos: [] }); // what began there is replaced
  equal(tempo.quarters(8), 12);
  equal(new TempoMap().quarters(1), 2);
});

/* The clock as it is sent while the audio clock goes from one second to another; the music begins at `origin`. */
function pulses(clock, from, until) {
  clock.output.sent = [];
  for (let now = from; now < until; now += 0.02) clock.pump(now);
  return clock.output.sent;
}

const output = (origin) => ({
  music: {
    origin,
    timeOf(position) {
      return this.origin + position;
    },
    positionAt(seconds) {
      return seconds - this.origin;
    },
  },
  moment: (seconds) => 1000 * seconds,
  write(message, at) {
    this.sent.push([...message, at]);
  },
});

test("the clock starts with the music, beats evenly, and goes on from a song position", () => {
  const clock = new Clock(output(10));
  clock.begin({ before: { tempos: [[0, 125]] } }); // a pulse every 20 ms
  const [start, ...beats] = pulses(clock, 10, 11);
  deepEqual(start, [0xfa, 9999]);
  beats.forEach(([status, at], index) => {
    equal(status, 0xf8);
    ok(Math.abs(at - 10_000 - 20 * index) < 1e-6);
  });
  clock.stop();
  deepEqual(pulses(clock, 11, 11.01).slice(0, 2).map(([status]) => status), [0xf2, 0xfb]);
});

test("where the music moves by bars the pulses stay as they are", () => {
  const clock = new Clock(output(0));
  clock.begin({ before: { tempos: [[0, 125]] } });
  const before = pulses(clock, 0, 1);
  clock.output.music.origin = -1.92; // a bar of four quarters
  const after = pulses(clock, 1, 2);
  const times = [...before, ...after].filter(([status]) => status === 0xf8).map(([, at]) => at);
  times.forEach((at, index) => ok(Math.abs(at - 20 * index) < 1e-6));
});

test("drums have their channel, and the other voices the others", () => {
  const voices = Array.from({ length: 12 }, (_, index) => ({ drum: index === 3 }));
  deepEqual(channels(voices), [0, 1, 2, 9, 3, 4, 5, 6, 7, 8, 10, 11]);
});
