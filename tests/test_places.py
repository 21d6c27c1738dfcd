"""A checkpoint is found by its path or by its name, and what is not there is told with what is."""

from __future__ import annotations

from pathlib import Path

import pytest

import generator
from generator import __main__ as carousel
from generator import places
from generator.errors import CarouselError
from tests.conftest import ROOT, SHIPPED, tiny


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own checkpoints; the current folder is another one."""
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path / "own")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("generator.command.leave_quietly", lambda: None)  # this process is no command
    return tmp_path / "own" / "checkpoints"


def test_a_name_is_looked_for_here_then_among_ones_own_then_among_the_shipped(own: Path) -> None:
    here = Path.cwd() / "checkpoints"
    assert places.checkpoint("bach") == ROOT / "checkpoints" / "bach"
    for nearer in (own, here):
        tiny("char").save(nearer / "bach")
        assert places.checkpoint("bach") == nearer / "bach"
    Path("bach").mkdir()
    assert places.checkpoint("bach") == here / "bach", "a folder of something else"
    tiny("char").save(Path("bach"))
    assert places.checkpoint("bach") == Path("bach")


def test_a_path_is_taken_as_it_is(own: Path) -> None:
    for path in ("elsewhere/bach", "../bach", "./bach/x", str(own / "bach")):
        assert places.checkpoint(path) == Path(path)


def test_what_is_not_there_is_told_with_what_is(own: Path) -> None:
    tiny("char").save(own / "mine")
    assert generator.load("mine").checkpoint.name == "mine"
    with pytest.raises(CarouselError, match=f"there are {', '.join(sorted([*SHIPPED, 'mine']))}; train one"):
        generator.load("mozart")


def test_one_command_has_all(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carousel.main([]) == carousel.main(["--help"]) == 0
    help_text = capsys.readouterr().out
    assert all(f"carousel {name} " in help_text for name in carousel.NAMES)
    assert carousel.main(["--version"]) == 0
    assert capsys.readouterr().out == f"carousel {generator.__version__}\n"
    assert carousel.main(["smaple"]) == 2
    assert capsys.readouterr().err == "carousel: no command 'smaple'; there are " + (
        "prepare, train, join, sample, evaluate, bench and app\n"
    )
    assert carousel.main(["sample", "shakespeare", "--tokens", "5"]) == 0
    assert capsys.readouterr().out
