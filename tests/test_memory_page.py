"""The Memory page: what the units do is shown while the music plays, to nobody else, and can be held."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from generator.analysis.units import UnitLabel, Units
from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model, load
from generator.web import memory
from generator.web.live import Live
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from tests.browser import Visit
from tests.test_access import findings
from tests.test_app import ask

WATCHED = {"since": None, "at": 0, "until": 1e9, "layer": 1, "unit": 5, "part": "cell"}


def answer(live: Live, **fields: Any) -> dict[str, Any]:
    """What the server tells of the units of a take."""
    found: dict[str, Any] = json.loads(bytes(memory.columns(live, WATCHED | fields).body))
    return found


def live_take(model: Model) -> Live:
    """A take of which something was drawn and nothing heard."""
    live = (LiveText if model.tokenizer.medium == "text" else LiveMusic)(model.stream(seed=3), model.checkpoint.name)
    live.pull(0, 40.0)
    return live


def bytes_of(found: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(b64decode(found["values"]), np.uint8).reshape(len(found["at"]), -1)


@pytest.mark.parametrize("part", ["cell", "forget_gate"])
def test_a_column_is_the_step_that_drew_its_token(fake: Model, no_hurry: None, part: str) -> None:
    """Also across changes of the options, which come into the trace where they came into the take."""
    live = live_take(fake)
    live.set(temperature=0.5, clamp="cell 1.5=0.25")
    live.pull(1, 60.0, 20.0)
    found = answer(live, part=part)
    start, count = found["start"], len(found["at"])
    trace = live._stream.trace(start, start + count)
    assert count > 30 and len(found["words"]) == count
    np.testing.assert_array_equal(bytes_of(found), memory.quantised(getattr(trace, part)[:, 1], part))
    np.testing.assert_allclose([row[3] for row in found["followed"]], trace.cell[:, 1, 5], atol=6e-4)
    if fake.tokenizer.kind == "drums":  # whose clamp begins within the most columns
        assert trace.cell[-1, 1, 5] == 0.25
    else:
        assert (trace.cell[-1, 1, 5] == 0.25) == (count < memory.MOST_COLUMNS)
    assert found["at"] == sorted(found["at"])


def test_columns_go_on_where_the_last_ones_ended(fake: Model, no_hurry: None) -> None:
    """However they are asked for in parts, up to a position, and not into what was not drawn."""
    live = live_take(fake)
    whole = answer(live)
    half = whole["at"][len(whole["at"]) // 2]
    first = answer(live, until=half)
    rest = answer(live, since=first["start"] + len(first["at"]))
    count = len(whole["at"])  # no answer has more than `MOST_COLUMNS`
    for name in ("at", "words", "followed"):
        assert (first[name] + rest[name])[:count] == whole[name]
    np.testing.assert_array_equal(np.concatenate([bytes_of(first), bytes_of(rest)])[:count], bytes_of(whole))
    if fake.tokenizer.kind == "drums":  # whose tokens may be at one time, once that is rounded
        assert first["at"][-1] <= half <= rest["at"][0]
    else:
        assert first["at"][-1] < half <= rest["at"][0]
    end = live._stream.engine.tokenizer.vocab_size * 10_000
    assert answer(live, since=end)["at"] == []
    assert answer(live, at=half)["at"][0] <= half < answer(live, at=half)["at"][-1]


def test_a_text_has_a_column_for_each_character(text: Model) -> None:
    live = LiveText(text.stream("to be", seed=1), "a")
    chunk = live.pull(0, 30)
    found = answer(live)
    assert found["start"] == 5 and found["at"][:3] == [0, 1, 2]
    plain = [word for word in found["words"][:30] if len(word) == 1]
    assert plain == [character for character in chunk["text"][:30] if not character.isspace()]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"part": "weights"}, "a unit has no part 'weights'; it has input_gate"),
        ({"layer": 2}, "layer is not a whole number from 0 to 1"),
        ({"unit": -1}, "unit is not a whole number from 0 to 23"),
        ({"since": 1.5}, "since is not a whole number"),
        ({"at": None}, "at is not a number"),
    ],
)
def test_a_unit_that_is_not_there_is_refused_in_a_line(text: Model, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(CarouselError, match=words):
        answer(live_take(text), **wrong)


def test_why_a_token_came(text: Model) -> None:
    """As the stream itself says; not of the primer, nor of what was not drawn."""
    live = LiveText(text.stream("to be", seed=1), "a")
    live.pull(0, 30)
    found = json.loads(bytes(memory.reasons(live, {"position": 9}).body))
    assert found == [[one.part, one.layer, one.unit, round(one.nats, 2)] for one in live._stream.reasons(9, 6)]
    for position in (2, 10_000):
        with pytest.raises(CarouselError, match="too long ago; choose something later"):
            memory.reasons(live, {"position": position})


@pytest.mark.parametrize(
    ("clamp", "words"),
    [
        ("cell 0.99=1", "What is held has 'cell 0.99=1'; the layers are 0 to 1, with units 0 to 23"),
        ("forget_gate 0=2", "give a number from 0 to 1"),
        ("nonsense", "write PART LAYER.UNIT=VALUE"),
        ("cell 0=1, " * 400, "let go of some of it first"),
        (5, "clamp is not a text"),
    ],
)
def test_a_clamp_that_cannot_be_is_refused_in_a_line(text: Model, clamp: Any, words: str) -> None:
    live = live_take(text)
    with pytest.raises(CarouselError, match=words):
        memory.clamp(live, {"clamp": clamp})
    assert live.options.clamp is None


def test_a_clamp_is_in_the_take_and_going_back_before_it_lets_go(text: Model, no_hurry: None) -> None:
    """Whoever goes back to after it keeps it; the widgets, which do not know it, leave it."""
    live = live_take(text)
    assert json.loads(bytes(memory.clamp(live, {"clamp": "hidden 1=0"}).body)) == {"changes": 1}
    chunk = live.pull(1, 400, 20)
    assert chunk["from"] == 20 and chunk["options"]["clamp"] == "hidden 1=0"
    live.set(temperature=0.7)
    live.pull(2, 500, 400)
    assert live._stream.options.clamp == "hidden 1=0"
    assert live.back(400, seed=9)._stream.options.clamp == "hidden 1=0"
    assert live.back(210, seed=9)._stream.options.clamp is None
    again = text.engine().replay(live.snapshot(450))
    assert again.options.clamp == "hidden 1=0" and again.tokens() == live._stream.tokens()[: again.position]
    memory.clamp(live, {"clamp": ""})
    assert live.pull(3, 500, 450)["options"]["clamp"] is None


def test_two_changes_at_the_same_time_both_hold(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A widget and a clamp come in threads of their own."""
    live = live_take(text)
    settle, begun, second = type(live.engine).settle, Event(), Event()

    def slowly(engine: Any, options: Any, primer: Any) -> Any:
        if options.clamp is None:
            begun.set()
            second.wait(0.2)
        return settle(engine, options, primer)

    monkeypatch.setattr(type(live.engine), "settle", slowly)
    turns = [Thread(target=live.set, kwargs=options) for options in ({"temperature": 0.7}, {"clamp": "hidden 1=0"})]
    turns[0].start()
    assert begun.wait(10)
    turns[1].start()
    turns[1].join(0.1)
    second.set()
    for turn in turns:
        turn.join(10)
    assert (live.options.temperature, live.options.clamp) == (0.7, "hidden 1=0")
    assert live.describe()["changes"] == 2


def test_what_is_known_of_units(text: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `units.json` their time constants are measured. One of another checkpoint is refused in a line."""
    live = live_take(text)
    found = json.loads(bytes(memory.units(live).body))
    assert (found["layers"], found["units"], found["labels"]) == (2, 24, [])
    assert np.array(found["constants"]).shape == (2, 24) and np.all(np.array(found["constants"]) > 0)
    row = UnitLabel("the line begins", "auc", 1, 5, "cell", False, 0.95, 0.9, 0.5)
    constants = tuple(tuple(float(unit) for unit in range(1, 25)) for _ in range(2))
    known = Units(text.checkpoint.fingerprint, "a", "b", "c", (row,), (row,), constants)
    monkeypatch.setattr("generator.web.memory.checkpoints", lambda medium: {live.name: tmp_path / live.name})
    for units in (known, replace(known, checkpoint="another")):
        replace(text.checkpoint, units=units.to_json()).save(tmp_path / live.name)
        monkeypatch.setattr("generator.web.memory.loaded", load)
        if units is known:
            found = json.loads(bytes(memory.units(live).body))
            assert found["labels"] == [[1, 5, "the line begins", 0.8]] and found["constants"][0][:2] == [1, 2]
            continue
        with pytest.raises(CarouselError, match="of another checkpoint; make it anew with evaluate --units"):
            memory.units(live)


def to_memory(visit: Visit) -> None:
    visit.page.get_by_role("link", name="Memory").click()
    visit.page.locator(".cells").wait_for()
    visit.until("c.cells && c.cells.columns > 10")


def units_are_chosen(visit: Visit) -> None:
    """By keyboard, and by number; what is not there is said in a line."""
    heat = visit.page.locator("canvas.map")
    unit = visit.report["cells"]["unit"]
    heat.press("ArrowDown")
    visit.until(f"c.cells.unit !== {unit} && c.cells.columns > 10")
    heat.press("ArrowLeft")
    said = visit.page.locator(".cells .readout")
    said.filter(has_text=f"unit {visit.report['cells']['unit']} · cell").wait_for()
    assert visit.report["state"] == "playing"
    field = visit.page.get_by_label("Find")
    field.fill("1.7")
    visit.until("c.cells.layer === 1 && c.cells.unit === 7")
    message = visit.page.locator(".cells .message")
    field.fill("99")
    assert message.inner_text() == "There is no unit 1.99: the layers are 0 to 1, with units 0 to 23."
    field.fill("bar")
    assert "evaluate --units" in message.inner_text()
    visit.page.get_by_role("button", name="Forget gate").click()
    visit.until("c.cells.part === 'forget_gate' && c.cells.columns > 10")
    visit.page.get_by_role("button", name="Why this token?").click()
    reasons = visit.page.get_by_role("group", name="Why this token").get_by_role("button")
    reasons.nth(5).wait_for()
    gate, place = reasons.first.inner_text().split(":")[0].rsplit(" ", 1)
    reasons.first.click()
    part, (layer, unit) = gate.replace(" ", "_"), place.split(".")
    visit.until(f"c.cells.part === '{part}' && c.cells.layer === {layer} && c.cells.unit === {unit}")
    visit.page.get_by_label("Find").fill("0.3")
    visit.until("c.cells.layer === 0 && c.cells.unit === 3")


def test_the_page_watches_what_plays_and_holds_it(visit: Visit) -> None:
    """Turning to it does not stop the music; what is held is in the take at once, is shown on the page Music too, and
    one button lets go of it."""
    visit.start()
    visit.until("c.position > 1")
    before = visit.report
    to_memory(visit)
    assert visit.report["take"] == before["take"] and visit.report["underruns"] == 0
    first = visit.report["cells"]
    visit.until(f"c.cells.last > {first['last']} && c.cells.frames > {first['frames'] + 10}")
    units_are_chosen(visit)
    visit.page.locator(".presets").get_by_role("button", name="Open").click()
    visit.until("c.options.clamp === 'forget_gate 0=1' && c.heardAt !== null")
    slider = visit.page.get_by_role("slider", name="Held at")
    slider.fill("0.25")
    visit.until("c.options.clamp === 'forget_gate 0=0.25'")
    chip = visit.page.get_by_text("forget gate of layer 0 at 0.25")
    chip.wait_for()
    assert findings(visit) == set()
    slider = visit.page.get_by_role("slider", name="Temperature")
    slider.press("ArrowLeft")
    visit.until("c.options.temperature === 0.95")
    assert visit.report["options"]["clamp"] == "forget_gate 0=0.25"
    visit.page.get_by_role("link", name="Music").click()
    visit.until("c.cells === null")
    chip.wait_for()
    assert visit.report["state"] == "playing" and visit.report["underruns"] == 0
    visit.page.get_by_role("button", name="Let go of all").click()
    visit.until("c.options.clamp === null")
    chip.wait_for(state="detached")


def test_a_lesson_of_which_another_visitor_notices_nothing(browser: Browser, url: str, visit: Visit) -> None:
    """A step wants a prediction first. Without a visitor's token nobody watches or holds what that visitor hears."""
    visit.page.get_by_role("link", name="Memory").click()
    visit.page.get_by_role("button", name="Step 2: Silence a layer").click()
    do, answer = visit.page.get_by_role("button", name="Silence layer 1"), visit.page.locator(".lesson .answer")
    assert do.get_attribute("aria-disabled") == "true"
    visit.page.get_by_label("the same as before").check()
    do.click()
    assert answer.inner_text() == "Press Start first."
    visit.start()
    do.click()
    visit.until("c.options.clamp === 'hidden 1=0'")
    assert answer.inner_text() == "Listen, and look."
    assert [select.input_value() for select in visit.page.locator(".holding select").all()] == ["hidden", "layer"]
    assert visit.report["cells"]["layer"] == 1
    other = Visit(browser, url)
    other.start()
    assert other.report["options"]["clamp"] is None and other.report["clamps"] == []
    assert other.page.locator(".held").is_hidden()
    other.close()
    take = visit.report["take"]
    for route in ("columns", "units", "reasons", "clamp"):
        body = {"visitor": "guess", "take": take, **WATCHED, "clamp": "", "position": 0}
        status, words = ask(url, route, json.dumps(body).encode())
        assert status == 410 and "no longer knows this page" in words
    visit.page.get_by_role("button", name="Show the answer").click()
    answer.filter(has_text="You expected: the same as before. It was otherwise.").wait_for()
    assert visit.report["options"]["clamp"] == "hidden 1=0"
    visit.page.get_by_role("button", name="Let go. On to the next step").click()
    visit.until("c.options.clamp === null")
    assert visit.page.get_by_role("heading", name="3. Remember nothing").is_visible()


SIGHTS = [
    (medium, width, scheme) for medium in ("music", "text") for width in (390, 1280) for scheme in ("dark", "light")
]


@pytest.mark.slow
@pytest.mark.parametrize(("medium", "width", "scheme"), SIGHTS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    browser: Browser, url: str, medium: str, width: int, scheme: str
) -> None:
    """While it plays and something is held."""
    visit = Visit(browser, f"{url}/memory?of={medium}", width, color_scheme=scheme)
    assert findings(visit) == set()
    assert visit.page.get_by_role("heading", level=1).inner_text() == "Memory"
    visit.start()
    visit.until("c.cells.columns > 10")
    visit.page.locator(".presets").get_by_role("button", name="Open").click()
    visit.page.get_by_role("button", name="Let go of all").wait_for()
    visit.page.get_by_label("Find").fill("99.1")
    assert findings(visit) == set()
    for wide in (width, 320):
        visit.page.set_viewport_size({"width": wide, "height": 800})
        visit.page.wait_for_timeout(300)
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for element in visit.page.locator(".cells :is(button, select, input, canvas), .lesson button").all():
            box = element.bounding_box()
            assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= wide), element
    visit.close()
