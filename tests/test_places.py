"""A checkpoint is found by its path or by its name, and what is not there is told with what is."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

import generator
from generator import __main__ as carousel
from generator import join
from generator.cli import command
from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from tests.conftest import ROOT, SHIPPED, tiny


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own checkpoints; the current folder is another one."""
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path / "own")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("generator.cli.command.leave_quietly", lambda: None)  # this process is no command
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
    with pytest.raises(CarouselError, match=r"there are (.*); train one") as error:
        generator.load("mozart")
    told = str(error.value).split("there are ")[1].split(";")[0].split(", ")
    assert told == sorted(told) and {*SHIPPED, "mine"} <= set(told)


def test_what_may_not_be_read_is_as_if_it_were_not_there(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        iterdir = Path.iterdir
        patched.setattr(Path, "iterdir", lambda path: refuse(path) if path == own else iterdir(path))
        assert places.checkpoint("bach") == ROOT / "checkpoints" / "bach"


def test_members_to_join_may_be_names(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And are not written over."""
    text = tmp_path / "a.txt"
    text.write_text("abc")
    for name in ("one", "two"):
        tiny("char").save(own / name)
    assert join.main([str(text), "one", "two", "--out", str(own / "one"), "--overwrite"]) == 2
    assert "--out would replace what CHECKPOINT" in capsys.readouterr().err


def test_one_command_has_all(own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert carousel.main([]) == 0
    help_text = capsys.readouterr().out
    assert all(f"carousel {name} " in help_text for name in (*carousel.NAMES, "app"))
    for words, status, said in (
        (["--version"], 0, f"carousel {generator.__version__}\n"),
        (["--help"], 0, help_text),
        (["app", "--help"], 0, carousel.APP),
        (["smaple"], 2, "python -m generator: argument COMMAND: invalid choice: 'smaple'"),
        (["app", "one", "two"], 2, "python -m generator.app: unrecognized arguments: two"),
    ):
        with pytest.raises(SystemExit, match=str(status)):
            carousel.main(words)
        told = capsys.readouterr()
        assert said in (told.err if status else told.out)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert carousel.main(["app"]) == 2
    assert (
        capsys.readouterr().err
        == "python -m generator.app: the app needs streamlit; install Carousel with its extra [app]\n"
    )
    assert carousel.main(["sample", "shakespeare", "--tokens", "5"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "installed", "said"),
    [
        ("/usr/bin/carousel", False, "carousel train"),
        ("/usr/lib/streamlit/__main__.py", True, "carousel train"),
        ("generator/train.py", False, "python -m generator.train"),
    ],
)
def test_advice_names_the_command_that_is_there(
    argument: str, installed: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(places, "PACKAGE", tmp_path)
    monkeypatch.setattr("sys.argv", [argument])
    assert places.command("train") == said
    parser = command.parser("train", "As in:\n\n    python -m generator.train songs/ --out mine")
    assert f"    {said} songs/ --out mine" in parser.format_help()
    with pytest.raises(CarouselError, match=said):
        Checkpoint.load(tmp_path / "nothing")
