"""The page Train as a visitor meets it: files in, what was understood, a training that goes on without its tab."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from generator.streaming.engine import load
from generator.web import access, trainings
from generator.web.training_log import Progress
from generator.web.training_sample import Sample
from generator.web.training_view import curve
from tests.browser import PATIENCE_MS, Visit, free_port, server
from tests.conftest import ROOT
from tests.test_access import STREAMLIT_LOOKS_FOR_ITSELF, findings
from tests.test_uploads import thirty

HOSTILE = "[a](javascript:x) $x$ :smile: <b>.txt"
"""The name of a file, which the page shows as it is, but for what no file may be called."""


class Trainee(Visit):
    """A visit that begins on the page Train, which has no stage."""

    ready = "h1"

    def __init__(self, browser: Browser, url: str, width: int = 1280, **media: object) -> None:
        super().__init__(browser, f"{url}/train", width, 900, new=True, **media)

    def upload(self, *paths: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(list(paths))
        self.page.get_by_text("to learn from").wait_for()

    def begin(self, name: str) -> None:
        self.page.get_by_role("textbox", name="Name of the model").fill(name)
        self.page.get_by_role("textbox", name="Name of the model").press("Tab")
        self.page.locator("[data-test-script-state=notRunning]").wait_for()  # a click while the page runs may be lost
        self.page.get_by_role("button", name="Train", exact=True).click()


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=5_000)


@pytest.mark.parametrize(
    ("setting", "address", "allowed"),
    [
        ("", None, True),
        ("", "10.0.0.7", False),
        ("off", None, False),
        (" OFF ", None, False),
        ("on", "10.0.0.7", True),
        ("perhaps", None, False),
    ],
)
def test_who_may_train(setting: str, address: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default who sits at the machine; a setting that is not understood allows nothing."""
    monkeypatch.setenv(access.SETTING, setting)
    context = SimpleNamespace(ip_address=address, headers={"Host": "localhost:8501"})
    monkeypatch.setattr(access, "st", SimpleNamespace(context=context))
    assert access.may_train() is allowed


def test_what_was_understood_is_shown_before_anything_is_trained(browser: Browser, url: str, tmp_path: Path) -> None:
    """A broken file and a hostile name by their names; a name that is none, in one line."""
    visit = Trainee(browser, url, 390, color_scheme="light")
    expect(visit.page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
    for name, content in (
        ("days.txt", b"On this day we walked.\n" * 99),
        (HOSTILE, b"\xff\xfe"),
        ("more.md", b"And on.\n" * 99),
    ):
        (tmp_path / name).write_bytes(content)
    visit.upload(*tmp_path.iterdir())
    page = visit.page
    expect(page.get_by_text("2 pieces to learn from, as text, character by character")).to_be_visible()
    expect(page.get_by_text("This is little")).to_be_visible()
    left_out = page.get_by_role("listitem").filter(has_text="not UTF-8")
    expect(left_out).to_have_text(re.compile(re.escape("[a](javascript_x) $x$ _smile_ _b_.txt: not UTF-8 at byte 0")))
    assert left_out.locator("a, b, .katex").count() == 0
    assert findings(visit) == set()
    visit.begin("../words")
    expect(page.get_by_text("a name has up to 40 letters")).to_be_visible()
    visit.begin("words")
    expect(page.get_by_text("there is a checkpoint called words already; choose another name")).to_be_visible()
    assert [line for line in visit.complaints if STREAMLIT_LOOKS_FOR_ITSELF not in line] == []
    visit.close()


def test_on_a_telephone_the_side_bar_closes_when_a_page_is_chosen(browser: Browser, url: str) -> None:
    """Also on the page without a stage, where the app was opened there; a choice within the bar leaves it open."""
    visit = Trainee(browser, url, 390)
    page, close = visit.page, visit.page.get_by_test_id("stSidebarCollapseButton")
    page.wait_for_function("performance.getEntriesByType('resource').some(({ name }) => name.includes('/sidebar.js'))")
    for name in ("Text", "Music"):
        page.get_by_test_id("stExpandSidebarButton").click()
        close.wait_for()
        page.get_by_role("link", name=name).click()
        close.wait_for(state="detached")
        page.locator(f".view .{name.lower()}").wait_for()
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_label("Seed", exact=True).fill("3")
    assert close.is_visible()
    assert [line for line in visit.complaints if STREAMLIT_LOOKS_FOR_ITSELF not in line] == []
    visit.close()


def test_the_range_of_the_curve_is_known_before_its_values() -> None:
    """Or Vega warns in the console of infinite extents; one update alone has a range too."""
    for losses, validations in (([(10, 3.0)], []), ([(10, 3.0), (40, 2.0)], [(20, 3.5)])):
        encoding = curve(Progress("Training", losses, validations))["encoding"]
        low, high = encoding["x"]["scale"]["domain"]
        bottom, top = encoding["y"]["scale"]["domain"]
        assert low < high and bottom < top
        for update, loss in [*losses, *validations]:
            assert low <= update <= high and bottom <= loss <= top


@pytest.mark.parametrize(
    ("end", "words", "buttons"),
    [
        ({"status": 0, "words": ""}, "**a\\_b** is trained.", {"Play it", "Keep it, and train another"}),
        ({"status": 130, "words": ""}, "The training was stopped", {"Play it", "Go on training"}),
        (
            {"status": 2, "words": "x: the disk is *full*"},
            "ended early: x\\: the disk is \\*full\\*",
            {"Go on training"},
        ),
        (None, "was cut off", {"Go on training", "Keep it, and train another"}),
    ],
)
def test_how_a_training_ended_and_what_can_be_done_now(
    end: dict[str, object] | None, words: str, buttons: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is told in one line; somebody else can begin a new one."""
    monkeypatch.setattr("generator.foundation.places.own", lambda name: tmp_path / name)
    monkeypatch.setattr("sys.argv", ["app.py", str(tmp_path)])
    for folder in (tmp_path / "training" / trainings.FILES, tmp_path / "a_b"):
        folder.mkdir(parents=True)
    for name in ("config.json", "training.safetensors"):
        (tmp_path / "a_b" / name).write_text("{}")
    job = trainings.Job("a_b", "music", 10, str(tmp_path / "a_b"), trainings.digest("secret"))
    (tmp_path / "training" / trainings.JOB).write_text(json.dumps(asdict(job)))
    if end:
        (tmp_path / "training" / trainings.END).write_text(json.dumps(end))
    script = "from generator.web import train_page\ntrain_page.page({'music': None, 'text': None})"
    page = AppTest.from_string(script, default_timeout=60).run()
    assert [header.value for header in page.header] == ["1 Files", "2 What was understood", "3 Train"]
    page.session_state["training"] = "secret"
    page.run()
    assert not page.exception and not page.header
    assert words in "".join(element.value for element in (*page.success, *page.error))
    assert buttons <= {button.label for button in page.button}
    next(button for button in page.button if button.label == "Keep it, and train another").click().run()
    assert not page.exception and page.header and (tmp_path / "a_b").exists() and not trainings.bench().exists()


def test_a_sample_is_made_while_the_page_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its button waits for a model and says so; then a process makes the sample, and no run of the page waits."""
    made = []

    def slow(module: list[str], *_: object, **__: object) -> subprocess.Popen[bytes]:
        made.append(Path(module[module.index("-o") + 1]))
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)

    job = trainings.Job("model", "music", 10, str(tmp_path / "model"), trainings.digest("secret"))
    phases = [trainings.Training(job, "running", "", has, False) for has in (False, True)]
    monkeypatch.setattr(trainings, "look", lambda: phases[0])
    monkeypatch.setattr("generator.web.training_sample.start", slow)
    script = "from generator.web import train_page\ntrain_page.page({'music': None, 'text': None})"
    page = AppTest.from_string(script, default_timeout=60)
    page.session_state["training"] = "secret"
    button = page.run().button("training-listen")
    assert button.disabled and button.help == "There is nothing to hear before the first validation."
    phases.pop(0)
    button = page.run().button("training-listen")
    assert not button.disabled
    button = button.click().run().button("training-listen")
    assert button.disabled and button.label == "Making a sample …" and not page.error
    process = page.session_state["training-sample"]._process
    process.kill()
    process.wait()
    assert not page.run().button("training-listen").disabled and len(page.error) == 1
    page.button("training-listen").click().run()
    process = page.session_state["training-sample"]._process
    made[1].write_bytes(b"RIFF")
    process.kill()
    process.wait()
    page.run()
    assert not page.error and page.get("audio") and not page.exception
    Sample(tmp_path)  # nobody keeps it
    gc.collect()
    assert made[2].parent.exists() is False


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_training_from_the_files_to_the_music(
    browser: Browser, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty files, of which three are broken. Nobody else sees the training, a second one is refused, the tab and the
    server go away meanwhile, and who listens hears no gap."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    checkpoints, port = tmp_path / "checkpoints", free_port()
    shutil.copytree(folder, checkpoints)
    shutil.copytree(ROOT / "checkpoints" / "bach", checkpoints / "bach")
    thirty(tmp_path / "files")
    with server(checkpoints, tmp_path / "log.txt", port) as url:
        visit = Trainee(browser, url)
        visit.upload(*(tmp_path / "files").iterdir())
        for name in ("cut.mid", "empty.mid", "letter.mid"):
            expect(visit.page.get_by_role("listitem").filter(has_text=f"{name}: ")).to_be_visible()
        visit.begin("thirty")
        visit.page.get_by_role("heading", name="Training thirty").wait_for()
        visit.page.close()
        listener = Visit(browser, url, new=True)
        listener.start()
        other = Trainee(browser, url)
        expect(other.page.get_by_text("A training is running on this machine already")).to_be_visible()
        assert "thirty" not in other.page.content() and "piece 1" not in other.page.content()
        other.upload(tmp_path / "files" / "piece 1.mid")
        expect(other.page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
        visit.open(f"{url}/train")
        expect(visit.page.get_by_text("tokens a second")).to_be_visible()
        expect(visit.page.get_by_role("button", name="Stop and keep")).to_be_enabled()
        expect(visit.page.get_by_text("What it writes now")).to_be_visible()
        assert findings(visit) == set()
        visit.page.get_by_role("button", name="Listen to a sample").click()
        visit.page.locator("audio").wait_for()
        report = listener.report
        assert report["underruns"] == 0 and report["position"] > 10, report
        listener.close()
    with server(checkpoints, tmp_path / "log.txt", port) as url:
        visit.open(f"{url}/train")
        visit.page.get_by_role("button", name="Stop and keep").click()
        visit.page.get_by_text("The training was stopped, and thirty is the best that it had.").wait_for()
        assert findings(visit) == set()
        visit.page.get_by_role("button", name="Play it").click()
        visit.page.locator(".play[aria-disabled=false]").wait_for()
        visit.start()
        assert load(checkpoints / "thirty").checkpoint.fingerprint
        visit.open(f"{url}/train")
        visit.page.get_by_role("button", name="Discard").click()
        visit.page.get_by_role("button", name="Remove them").click()
        visit.page.get_by_role("heading", name="1 Files").wait_for()
        assert not (checkpoints / "thirty").exists()
    monkeypatch.setenv(access.SETTING, "off")
    with server(checkpoints, tmp_path / "log.txt", port) as url:
        off = Visit(browser, f"{url}/train")
        assert off.page.get_by_role("link", name="Train").count() == 0
        off.close()
