"""What every test may ask for: the repository's root, and the real corpora where this machine has them."""

from __future__ import annotations

import os

# Tests run side by side, so torch's threads must not starve each other, here or in processes that a test starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MKL_NUM_THREADS", "1")

# isort: split
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, Page

from generator import sample
from generator.corpora import open_corpus, parallel
from generator.corpora.dataset import TokenDataset, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import LanguageModel
from generator.music.score import Note, Score, Tempo, TimeSignature, Voice
from generator.streaming.engine import Model, load
from generator.tokenizers import KINDS
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from tests.browser import Visit, chromium, server

ROOT = Path(__file__).parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background jobs; tests send it to children
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # until the tests run: nothing that is collected is garbage, and a third of that time went into the search

settings.register_profile("carousel", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("carousel")


OPEN = pytest.StashKey[tuple[ExitStack, Browser]]()
"""The browser that is open, and what closes it."""
FEW_FRAMES = """
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 50);
window.cancelAnimationFrame = clearTimeout;
"""
"""For a page: it draws 20 times a second, as on a slow machine. Without a graphics card 60 would take half a core."""


def needs_browser(item: pytest.Item | None) -> bool:
    """Whether a test asks for a browser."""
    return "browser" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a browser comes first, so that it falls to one process: while that waits for pages, the others have
    enough to do, and one server and one browser are enough."""
    items.sort(key=needs_browser, reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on garbage is looked for, but only among what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `AppTest` leaves as `__main__` goes with its test, or processes forked later would run it first."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of downloaded corpora. Without one a test that needs it is skipped; where `CI` is set it fails."""
    folder = os.environ.get("CAROUSEL_MIRROR")
    if not folder:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("CAROUSEL_MIRROR names no folder of downloaded corpora")
    path = (ROOT / folder).resolve()
    assert path.is_dir(), f"CAROUSEL_MIRROR is {folder}, which is not a folder"
    return path


@pytest.fixture(scope="session")
def asap(mirror: Path) -> list[Path]:
    """The recordings of the ASAP dataset."""
    files = sorted((mirror / "asap").rglob("*.mid"))
    assert files, f"{mirror} has no asap folder"
    return files


@pytest.fixture(scope="session")
def chorales() -> list[Score]:
    """Forty chorales of Bach, read in this process: that is over before others would have started to help."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "FEW", 1000)
        pieces = list(islice(open_corpus("bach-chorales").pieces("train"), 40))
    return [piece.content for piece in pieces if isinstance(piece.content, Score)]


def run(*arguments: object) -> int:
    """The command `sample`, in this process; its exit status."""
    return sample.main([str(argument) for argument in arguments])


@pytest.fixture
def novel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenDataset:
    """A text, `novel.txt` in the test's folder, as a token dataset in a cache of its own."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "novel.txt"
    path.write_text("".join(f"On day {day} we made {day * 37 % 90} miles.\n" for day in range(2000)))
    return prepare(open_corpus(path), progress=False)


def random_checkpoint(tokenizer: Tokenizer, seed: int = 0, hidden_size: int = 24) -> Checkpoint:
    """The tiny fake: an untrained model that still speaks, instantly. Its logits are spread so that options matter."""
    torch.manual_seed(seed)
    rows = tokenizer.grammar.feature_rows
    config = ModelConfig(tokenizer.vocab_size, 8, hidden_size, 2, feature_rows=rows, feature_dim=8 if rows else 0)
    model = LanguageModel(config)
    model.output.weight.data *= 8
    return Checkpoint.of(model, tokenizer, card="# tiny\n", name="tiny")


def four_voices(bars: int = 8) -> Score:
    """A small chorale in 4/4: four voices in quarters and halves."""
    notes = []
    for beat in range(4 * bars):
        for voice, pitch in enumerate((72, 67, 64, 48)):
            if voice or beat % 2 == 0:
                length = 960 if not voice else 480
                notes.append(Note(beat * 480, length, pitch + (0, 2, 4, 5)[beat % 4], voice=voice))
    names = ("Soprano", "Alto", "Tenor", "Bass")
    return Score(480, tuple(Voice(name, 19) for name in names), tuple(notes), (TimeSignature(0, 4, 4),))


def a_beat(bars: int = 4) -> Score:
    """Drums that somebody plays in 4/4: kick, snare and hi-hat, each some milliseconds off the grid."""
    notes = []
    for step in range(8 * bars):
        struck = [42, *([36] if step % 4 == 0 else [38] if step % 4 == 2 else [])]
        notes += [
            Note(max(0, 240 * step + (step * 7 + drum * 5) % 41 - 20), 4, drum, 30 + (step * 37 + drum) % 98)
            for drum in struck
        ]
    notes.sort(key=lambda note: (note.start_ticks, -note.pitch))
    return Score(480, (Voice("Kit", 0, drum=True),), tuple(notes), (TimeSignature(0, 4, 4),), (Tempo(0, 120.0),))


def music_for(kind: str, bars: int) -> Score:
    """A small piece that a tokenizer of this kind can read."""
    return a_beat(bars) if kind == "drums" else four_voices(bars)


def tiny(kind: str) -> Checkpoint:
    """The tiny fake with the tokenizer of that kind."""
    tokenizers: dict[str, Tokenizer] = {
        "char": CharTokenizer("\n abcdefghijklmnopqrstuvwxyzéß"),
        "score": ScoreTokenizer.fit([four_voices()]),
        "performance": PerformanceTokenizer(),
        "frames": FramesTokenizer(2, 90.0),
        "drums": DrumsTokenizer.fit(
            [
                *[replace(a_beat(), style="funk", tempos=(Tempo(0, 90.0),))] * 10,
                replace(a_beat(), time_signatures=(TimeSignature(0, 3, 4),)),
            ]
        ),
    }
    return random_checkpoint(tokenizers[kind])


@pytest.fixture(scope="session", params=KINDS)
def fake(request: pytest.FixtureRequest) -> Model:
    """The tiny fake of every kind."""
    return Model(tiny(request.param))


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine too a pull of the app draws all that it is asked for."""
    monkeypatch.setattr("generator.web.live.BUDGET_SECONDS", 600.0)


@pytest.fixture(scope="module")
def music() -> Model:
    return Model(tiny("score"))


@pytest.fixture(scope="module")
def text() -> Model:
    return Model(tiny("char"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints: of written music, of text, and of music that is played freely."""
    path = tmp_path_factory.mktemp("checkpoints")
    tiny("score").save(path / "tune")
    tiny("performance").save(path / "wild")
    tiny("char").save(path / "words")
    return path


@pytest.fixture(scope="session")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app, which finds nothing that the user of this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        with server(folder, tmp_path_factory.mktemp("app") / "log.txt") as address:
            yield address


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """A headless browser, the same for all tests in a row. While it is open, nothing else in this thread can run
    asyncio."""
    stash = request.config.stash
    if OPEN not in stash:
        opened = ExitStack()
        stash[OPEN] = opened, opened.enter_context(chromium())
        stash[OPEN][1].contexts[0].add_init_script(FEW_FRAMES)
    return stash[OPEN][1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser where the next test needs none."""
    try:
        yield
    finally:
        if OPEN in item.config.stash and not needs_browser(nextitem):
            item.config.stash[OPEN][0].close()
            del item.config.stash[OPEN]


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    """A visitor on the music page, who leaves without having met an error."""
    visit = Visit(browser, url)
    yield visit
    visit.close()
    assert visit.complaints == []


@pytest.fixture
def blank(browser: Browser, url: str) -> Iterator[Page]:
    """An empty page of the server, for what needs a browser and the app's modules, but not the app."""
    page = browser.contexts[0].new_page()
    page.goto(f"{url}/_stcore/health")
    yield page
    page.close()


SHIPPED = ("bach", "drums", "folk", "piano", "pop", "shakespeare")
ALL_SHIPPED = [f"checkpoints/{name}" for name in SHIPPED]
SLOW = ("checkpoints/drums", "checkpoints/folk", "checkpoints/pop")
"""Those that only the slow tests of all models have: another one is of the same kind, or a quick fake."""


def models(*names: str) -> list[Any]:
    """Parameters of a test: fakes by their kinds, shipped checkpoints by their folders."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.fixture(scope="session", params=models(*ALL_SHIPPED))
def shipped(request: pytest.FixtureRequest) -> Model:
    """Every checkpoint that the repository ships."""
    return model_called(request.param)


@pytest.fixture(scope="session", params=models(*KINDS, *ALL_SHIPPED))
def any_model(request: pytest.FixtureRequest) -> Model:
    """The fakes and the shipped checkpoints."""
    return model_called(request.param)


@pytest.fixture(scope="session", params=models(*sorted({*KINDS, *ALL_SHIPPED} - {"frames", "drums", SLOW[0]})))
def speaker(request: pytest.FixtureRequest) -> Model:
    """Those that say characters or pitched notes one after another, in which copies are looked for."""
    return model_called(request.param)


def model_called(name: str) -> Model:
    """A shipped checkpoint, or the tiny fake of a kind."""
    return load(ROOT / name) if "/" in name else Model(tiny(name))
