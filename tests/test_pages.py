"""The pages without a browser: what is offered, what an upload sets, and what is said where something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.streaming.engine import Model, load
from generator.web import constraints, primers
from generator.web.constraints import choices, widget_value
from generator.web.controls import follow_tempo
from generator.web.live_music import LiveMusic
from generator.web.routes import registry
from tests.conftest import ROOT, four_voices, tiny


def script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The pages without a browser, for a folder of checkpoints."""
    monkeypatch.setattr("sys.argv", ["app.py", str(folder)])
    return AppTest.from_file(str(ROOT / "generator" / "web" / "pages.py"), default_timeout=60).run()


def test_the_tempo_of_a_clock_is_the_nearest_that_the_checkpoint_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, wild, stage = Model(tiny("score")), Model(tiny("performance")), SimpleNamespace(tempo=97)
    state: dict[str, Any] = {"music-stage": stage}
    monkeypatch.setattr("streamlit.session_state", state)
    follow_tempo("music", wild)
    for tempo in (None, 0, "fast"):
        stage.tempo = tempo
        follow_tempo("music", model)
    assert state == {"music-stage": stage}
    stage.tempo = 97.0
    follow_tempo("music", model)
    assert state[f"music-{model.checkpoint.name}-tempo"] == choices("tempo", model)[0] and state["changed widgets"]


def shown(page: AppTest) -> set[str]:
    """The labels of all that can be set."""
    kinds = (page.selectbox, page.number_input, page.text_input, page.toggle, page.select_slider)
    return {widget.label for kind in kinds for widget in kind}


def test_only_what_a_checkpoint_can_obey_is_offered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what cannot be together is one line, in the words of the page."""
    for kind in ("performance", "frames"):
        tiny(kind).save(tmp_path / kind)
    shutil.copytree(folder / "tune", tmp_path / "tune")
    page = script(tmp_path, monkeypatch)
    assert page.selectbox(key="music-checkpoint").options == ["frames", "performance", "tune"]
    assert not shown(page) & {"Key", "Notes at once"}
    page.selectbox(key="music-checkpoint").set_value("performance").run()
    assert "# tiny" in {text.value for text in page.markdown}  # the card
    played = {"Key", "Scale", "Notes at once", "Notes a second", "Range of Piano"}
    assert played <= shown(page) and not shown(page) & {"Metre", "Parallel fifths and octaves", "Say next"}
    page.selectbox(key="music-checkpoint").set_value("tune").run()
    written = {"Key", "Scale", "Parallel fifths and octaves", "Range of Soprano", "Range of Bass", "Voice"}
    assert written <= shown(page) and not shown(page) & {"Say next", "Range of Piano"}
    assert not page.error and page.selectbox(key="music-tune-scale").disabled
    page.selectbox(key="music-tune-key").set_value("F♯ major").run()
    assert not page.selectbox(key="music-tune-scale").disabled and not page.error
    page.select_slider(key="music-tune-ranges-Soprano").set_range(72, 72).run()
    assert page.error[0].value.startswith("Ranges with Key leaves Soprano no pitch") and not page.exception
    page.selectbox(key="music-tune-key").set_value(None).run()
    assert not page.error and not page.exception


def test_the_widgets_show_a_checkpoints_own_defaults(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the one that is chosen; what was set for another one comes back with it."""
    for name in ("own", "tune"):
        shutil.copytree(folder / "tune", tmp_path / name)
    own = {"seed": 12, "temperature": 3.0, "top_p": 0.9, "governor": False, "key": "D minor", "ranges": "Alto:68-70"}
    (tmp_path / "own" / "defaults.json").write_text(json.dumps(own | {"instruments": {"Bass": 70}}))
    page = script(tmp_path, monkeypatch)

    def shows(name: str) -> tuple[object, ...]:
        sliders = [page.slider(key=f"music-{name}-{option}").value for option in ("temperature", "top_p")]
        seed, governor = page.number_input(key=f"music-{name}-seed").value, page.toggle(key=f"music-{name}-governor")
        alto = page.select_slider(key=f"music-{name}-ranges-Alto").value
        return (*sliders, seed, governor.value, page.selectbox(key=f"music-{name}-key").value, alto)

    def choose(name: str) -> None:
        page.selectbox(key="music-checkpoint").set_value(name).run()
        assert not page.exception and not page.error

    part = load(tmp_path / "tune").tokenizer.table.parts[1]
    assert shows("own") == (2.0, 0.9, 12, False, "D minor", (68, 70))
    choose("tune")
    assert shows("tune") == (1.0, 1.0, 7, True, None, (part.low, part.high))
    page.slider(key="music-tune-temperature").set_value(0.5).run()
    choose("own")
    page.selectbox(key="music-own-key").set_value(None).run()
    page.number_input(key="music-own-seed").set_value(99).run()
    choose("tune")
    assert shows("tune") == (0.5, 1.0, 7, True, None, (part.low, part.high))
    choose("own")
    assert shows("own") == (2.0, 0.9, 99, False, None, (68, 70))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("primer", "The key of the file"),
        ("A minor", "A minor"),
        ("reel", "reel"),
        (72.0, "72"),
        (72.5, "72.5"),
        (3, "3"),
    ],
)
def test_a_choice_in_words(choice: object, words: str) -> None:
    assert constraints.choice_label(choice) == words


def test_an_empty_shelf_says_how_to_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = script(tmp_path / "nowhere", monkeypatch)
    assert "python -m generator.train" in page.info[0].value and not page.exception


def test_a_broken_checkpoint_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder / "tune", tmp_path / "tune")
    weights = tmp_path / "tune" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tokenizer.json").write_text("{")
    page = script(tmp_path, monkeypatch)
    assert "cut off" in page.error[0].value and "\n" not in page.error[0].value and not page.exception


def test_an_uploaded_take_waits_for_its_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sets the widgets, in the page's spelling; what plays goes on, and keeps its key when a file brings one."""
    page = script(folder, monkeypatch)
    model = load(folder / "tune")
    live = LiveMusic(model.stream(seed=1), "a")
    page.session_state["visitor"] = registry().admit()
    registry().visitor(page.session_state["visitor"]).start(live)
    page.select_slider(key="music-tune-ranges-Soprano").set_range(73, 75).run()
    whole = page.select_slider(key="music-tune-ranges-Alto").value
    playing = live.options
    assert playing.ranges == "Soprano:73-75"
    options = {"key": "Eb major", "tempo": 97, "temperature": 0.5, "governor": False, "ranges": "Alto:68-71"}
    take = model.stream(seed=3, **options).snapshot().to_bytes()
    page.file_uploader(key="music-file").set_value(("a.take", take, "application/octet-stream")).run()
    assert not page.error and not page.exception and live.options is playing
    assert page.selectbox(key="music-tune-key").value == "E♭ major"
    assert page.slider(key="music-tune-temperature").value == 0.5 and not page.toggle(key="music-tune-governor").value
    part = model.tokenizer.table.parts[0]
    assert page.select_slider(key="music-tune-ranges-Soprano").value == (part.low, part.high)
    assert page.select_slider(key="music-tune-ranges-Alto").value == (68, 71) != whole
    assert (
        widget_value("tempo", 97, model) == choices("tempo", model)[0]
        and widget_value("style", "Slip  Jig", model) == "slip jig"
    )
    tune = midi.to_bytes(four_voices())
    page.file_uploader(key="music-file").set_value(("a.mid", tune, "audio/midi")).run()
    page.selectbox(key="music-tune-key").set_value("primer").run()
    page.slider(key="music-tune-temperature").set_value(0.8).run()
    assert not page.error and not page.exception and live.options.temperature == 0.8
    assert live.options.key == "E♭ major"


def test_a_broken_upload_is_one_line_under_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = script(folder, monkeypatch)
    page.file_uploader(key="music-file").set_value(("a.take", b"no take", "application/octet-stream")).run()
    assert "a.take" in page.error[0].value and "\n" not in page.error[0].value and not page.exception


def test_an_empty_primer_is_one_line() -> None:
    with pytest.raises(CarouselError, match=r"^a\.txt: the file is empty; choose one with text in it$"):
        primers.read("a.txt", b" \n", "text")


def test_the_limit_of_uploads_is_said_beside_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = script(folder, monkeypatch)
    assert "at most 5 MB" in page.file_uploader(key="music-file").help
