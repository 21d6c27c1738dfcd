import { deepEqual, equal, ok } from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Duet } from "../../generator/web/static/duet.js";

let context, duet, music;

beforeEach(() => {
  context = { currentTime: 20, outputLatency: 0 };
  const stage = { state: "playing", pulls: { phrase: null }, tick() {}, say() {} };
  const begin = () => ({ release() {} });
  music = { stage, synth: { context, begin, unlock() {} }, origin: 10, position: 10, stopped: null, ended: false, notes: [] };
  music.voices = [{ name: "Piano" }];
  music.rate = 1;
  music.positionAt = (seconds) => seconds - music.origin;
  music.mix = { instrument: (voice) => music.voices[voice], ownPitch: (_voice, pitch) => pitch - 2 }; // two semitones up
  music.roll = { bars: [[8, 5], [10, 6], [12, 7]], played: [], takeBack() {} };
  music.committed = () => context.currentTime - music.origin;
  music.takeBack = music.letGo = () => {};
  duet = new Duet(music, { send() {} });
});

/* Play notes of a quarter of a second, one after another. */
function play(...pitches) {
  for (const pitch of pitches) {
    duet.press(pitch, 90);
    context.currentTime += 0.25;
    duet.release(pitch);
    duet.tick();
  }
}

test("a phrase is sent after a rest, with its own timing, from where it held the music back", () => {
  play(60, 64);
  equal(duet.held, 10);
  equal(music.stage.pulls.phrase, null);
  context.currentTime += 0.8;
  duet.tick();
  const { heard, phrase } = music.stage.pulls.phrase;
  equal(heard, 10);
  ok(Math.abs(phrase.at - 10) < 0.05);
  deepEqual(phrase.messages.map(([, status, pitch]) => [status, pitch]), [[0x90, 58], [0x80, 58], [0x90, 62], [0x80, 62]]);
  equal(phrase.messages[0][0], 0);
  ok(Math.abs(phrase.messages[3][0] - 0.5) < 0.05);
  deepEqual(duet.phrases.map(({ name }) => name), ["1"]);
});

test("an answer begins at a bar line of the music as it was heard, as soon as it can", () => {
  play(60);
  context.currentTime = 21;
  duet.tick();
  // The stream heard it a bar later, from 12 to 14; the bar line that one hears next is at 22 on the audio clock.
  equal(duet.originFor({ begin: 12, end: 14, bar: 2 }, 10) + 14, 22);
  context.currentTime = 22.5; // that is over
  equal(duet.originFor({ begin: 12, end: 14, bar: 2 }, 10) + 14, 24);
  equal(duet.originFor({ begin: 10.01, end: 11, bar: 0 }, 10) + 11, 22.58);
});

test("a phrase that is played before the answer waits for it", () => {
  play(60);
  context.currentTime += 1;
  duet.tick();
  const first = music.stage.pulls.phrase;
  play(62);
  context.currentTime += 1;
  duet.tick();
  equal(music.stage.pulls.phrase, first);
  music.stage.pulls.phrase = null;
  duet.answer({ phrase: { begin: 12, end: 14, bar: 2 }, from: 10, notes: [] });
  duet.goOn();
  ok(duet.held !== null);
  duet.tick();
  equal(music.stage.pulls.phrase.phrase.messages[0][2], 60);
});

test("what a tab remembers may be anything", () => {
  const phrase = (...messages) => ({ name: "1", voice: "", messages });
  const found = [{ name: "1" }, null, 3, phrase(), phrase([]), phrase(["0", 144, 60, 90]), phrase([0, 144, 60, 90], 3), phrase([0, 144, 60, 90])];
  globalThis.sessionStorage = { getItem: () => JSON.stringify(found), setItem() {} };
  deepEqual(new Duet(music, {}).phrases, found.slice(-1));
});
