import assert from "node:assert/strict";
import { test } from "node:test";

import { put, read, same, without, words, write } from "../../generator/web/static/clamps.js";
import { Columns, said, spread, valueOf } from "../../generator/web/static/columns.js";
import { channels, palette } from "../../generator/web/static/heatmap.js";
import { shortWords } from "../../generator/web/static/lines.js";
import { about, meaning, numbered, reasonsOf, rowsOf } from "../../generator/web/static/units.js";

const gate = (value, unit = null) => ({ part: "forget_gate", layer: 0, unit, value });

test("clamps come back as they were written, whatever spaces were between them", () => {
  const text = "forget_gate 0.37=1, cell 1.5=-0.8, hidden 2=0";
  assert.equal(write(read(text)), text);
  assert.deepEqual(read(" forget_gate  0 = 1 ,"), [gate(1)]);
  assert.deepEqual([read(null), read(""), read("nonsense")], [[], [], []]);
});

test("a clamp takes the place of an older one, and that of a layer those of its units", () => {
  const other = { part: "cell", layer: 0, unit: 3, value: 1 };
  assert.deepEqual(put([gate(0, 1), other], gate(1, 1)), [other, gate(1, 1)]);
  assert.deepEqual(put([gate(0, 1), gate(0, 2), other], gate(1)), [other, gate(1)]);
  assert.deepEqual(put([gate(1)], gate(0, 2)), [gate(1), gate(0, 2)]);
  assert.deepEqual(without([gate(1), gate(0, 2)], gate(9)), [gate(0, 2)]);
  assert.equal(same([gate(0.25, 2)], gate(9, 2)).value, 0.25);
  assert.equal(same([gate(0.25, 2)], gate(9)), undefined);
});

test("a clamp in words", () => {
  assert.equal(words(gate(1)), "forget gate of layer 0 at 1");
  assert.equal(words({ part: "hidden", layer: 1, unit: 12, value: 0.333 }), "output of unit 12 of layer 1 at 0.33");
});

test("tokens of one moment share the time up to the next one, and every place is later than the one before", () => {
  assert.deepEqual(spread([0, 1, 1, 3]).map((place) => Math.round(place * 100) / 100), [0, 1, 2, 3, 3.05]);
  assert.deepEqual(spread([]), []);
  for (let tries = 0; tries < 200; tries++) {
    const at = Array.from({ length: 1 + Math.floor(Math.random() * 12) }, () => Math.floor(Math.random() * 6)).sort((a, b) => a - b);
    const places = spread(at);
    assert.equal(places.length, at.length + 1);
    places.slice(1).forEach((place, index) => assert.ok(place > places[index], `${at}`));
  }
});

const answer = (start, at) => ({
  start,
  at,
  words: at.map(String),
  values: btoa(at.map((_, index) => String.fromCharCode(start + index, 255)).join("")),
  followed: at.map(() => [0, 0, 0, 0]),
});

test("columns follow one another, are taken back and forgotten", () => {
  const columns = new Columns();
  columns.add(answer(5, [0, 1, 1]));
  columns.add(answer(8, [2, 3]));
  assert.equal(columns.next, 10);
  assert.deepEqual([...columns.values[3]], [8, 255]);
  assert.equal(columns.indexAt(1.6), 2);
  assert.equal(columns.indexAt(9), -1);
  assert.equal(columns.indexAt(-1), -1);
  const { version } = columns;
  columns.takeBack(2);
  assert.deepEqual(columns.at, [0, 1, 1]);
  assert.notEqual(columns.version, version, "what was asked for before is of no use");
  columns.forget(0.5);
  assert.deepEqual([columns.start, columns.at], [6, [1, 1]]);
  columns.forget(9);
  assert.deepEqual([columns.start, columns.length], [8, 0]);
  columns.add(answer(20, [7]));
  assert.deepEqual([columns.start, columns.at], [20, [7]], "after a gap they begin anew");
});

test("a byte stands for a gate from 0 to 1, or for a cell whose tanh it is", () => {
  assert.deepEqual([valueOf(0, "forget_gate"), valueOf(255, "input_gate")], [0, 1]);
  for (const cell of [-2, -0.5, 0, 0.7, 2]) {
    const byte = Math.round((255 * (Math.tanh(cell) + 1)) / 2);
    assert.ok(Math.abs(valueOf(byte, "cell") - cell) < 0.06, `${cell}`);
  }
  assert.ok(Number.isFinite(valueOf(255, "cell")) && Number.isFinite(valueOf(0, "cell")));
});

test("colours go from the paper to one colour, or to two", () => {
  const [paper, gold, blue] = ["#000000", "#ffffff", "#0000ff"].map(channels);
  const gates = palette(paper, gold);
  assert.deepEqual([...gates.slice(0, 4)], [0, 0, 0, 255]);
  assert.deepEqual([...gates.slice(-4)], [255, 255, 255, 255]);
  assert.deepEqual([...palette(paper, gold, blue).slice(0, 4)], [0, 0, 255, 255]);
});

test("only notes and characters have room in the strip", () => {
  const said = ["C♯5", "B♭-1", "x", "space", "new line", "Soprano", "dotted quarter", "beat 2"].map(shortWords);
  assert.deepEqual(said, ["C♯5", "B♭-1", "x", "␣", "⏎", "", "", ""]);
});

const units = {
  layers: 2,
  units: 3,
  constants: [[2, 9, 2], [1, 20000, 30.4]],
  labels: [[1, 2, "position in the bar", 0.7], [0, 1, "position in the bar", 0.9], [1, 2, "bar line", 0.2]],
};

test("a cell beyond what a byte can say is said to be beyond", () => {
  assert.deepEqual([said(255, "cell"), said(0, "cell"), said(255, "forget_gate")], ["above 3", "below −3", "1.00"]);
  assert.equal(said(Math.round((255 * (Math.tanh(-0.5) + 1)) / 2), "cell"), "−0.50");
});

test("the unit that is followed has a row, however fast it is", () => {
  const many = { layers: 1, units: 100, constants: [Array.from({ length: 100 }, (_, unit) => 100 - unit)], labels: [] };
  assert.equal(rowsOf(many, 0, "slowest", 3).length, 64);
  assert.deepEqual(rowsOf(many, 0, "slowest", 90).slice(-2), [63, 90]);
});

test("gates that did not matter are not named", () => {
  const spoke = ["forget_gate", 0, 1, 0.7];
  const against = ["input_gate", 1, 2, -0.02];
  assert.deepEqual(reasonsOf("C5", [spoke, against, ["input_gate", 1, 3, 0]]).mattered, [spoke, against]);
  assert.deepEqual(reasonsOf("C5", [["input_gate", 1, 3, 0]]), { said: "C5: no single gate mattered.", mattered: [] });
});

test("units in the order of their rows", () => {
  assert.deepEqual(rowsOf(units, 0, "number"), [0, 1, 2]);
  assert.deepEqual(rowsOf(units, 0, "slowest"), [1, 0, 2]);
  assert.deepEqual(rowsOf(units, 1, "slow first"), [1, 2, 0]);
});

test("a unit is found by its number, or by what it follows", () => {
  assert.deepEqual(numbered(" 37 ", 1), { layer: 1, unit: 37 });
  assert.deepEqual(numbered("0.12", 1), { layer: 0, unit: 12 });
  assert.deepEqual(numbered("Layer 1 unit 5", 0), { layer: 1, unit: 5 });
  assert.equal(numbered("bar 3", 0), null);
  assert.deepEqual(meaning(units, "BAR pos").map(([layer, unit]) => [layer, unit]), [[0, 1], [1, 2]]);
  assert.deepEqual(meaning(units, "line length"), []);
});

test("what is known of a unit, in a sentence", () => {
  assert.equal(about(units, 0, 0), "Unit 0 of layer 0. What is written into its cell fades to a third in 2.0 tokens.");
  assert.match(about(units, 1, 2), /in 30 tokens\. It follows position in the bar \(0\.70 of 1\)\.$/);
  assert.match(about(units, 1, 1), /in more than 9,999 tokens/);
});
