"""Music in files: one table of suffixes, and a line for whatever else a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.foundation.errors import CarouselError
from generator.music import files, midi
from generator.sinks import write
from tests.conftest import four_voices

TUNE = "X:1\nT:One\nM:4/4\nL:1/4\nK:C\nCDEF|\n"


def test_every_suffix_is_read(tmp_path: Path) -> None:
    tune = four_voices(2)
    (tmp_path / "a.abc").write_text(TUNE + "\n" + TUNE.replace("X:1", "X:2"))
    (tmp_path / "a.krn").write_text("**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n==\n*-\n")
    for suffix in (".mid", ".musicxml"):
        write(tune, tmp_path / f"a{suffix}")
    for suffix in files.MIDI[1:]:
        (tmp_path / f"a{suffix}").write_bytes((tmp_path / "a.mid").read_bytes())
    for suffix in (".xml", ".mxl"):
        (tmp_path / f"a{suffix}").write_bytes((tmp_path / "a.musicxml").read_bytes())
    for suffix in files.SUFFIXES:
        scores = files.read(tmp_path / f"a{suffix}")
        assert len(scores) == (2 if suffix == ".abc" else 1)
        assert scores == files.read_each(tmp_path / f"a{suffix}")
    assert files.read(tmp_path / "a.mid") == [midi.read(tmp_path / "a.mid")]
    quarters = {(note.start_ticks // 480, note.pitch) for note in tune.notes}
    for suffix in (*files.MIDI, ".musicxml", ".xml", ".mxl"):
        [again] = files.read(tmp_path / f"a{suffix}")
        assert {(note.start_ticks / again.ticks_per_quarter, note.pitch) for note in again.notes} == quarters
    for suffix in (".abc", ".krn"):
        for score in files.read(tmp_path / f"a{suffix}"):
            assert [note.pitch for note in score.notes] == [60, 62, 64, 65]
    (tmp_path / "A.MID").write_bytes((tmp_path / "a.mid").read_bytes())
    assert files.read(tmp_path / "A.MID")[0].notes == tune.notes


def test_what_cannot_be_read_is_a_line(tmp_path: Path) -> None:
    for name in ("a.mid", "a.abc", "a.musicxml"):
        (tmp_path / name).write_bytes(b"")
        [error] = files.read_each(tmp_path / name)
        assert isinstance(error, CarouselError) and name in str(error) and "\n" not in str(error)
        with pytest.raises(CarouselError, match=name):
            files.read(tmp_path / name)
    (tmp_path / "a.abc").write_text(TUNE + "\nX:2\nK:C\n")
    good, bad = files.read_each(tmp_path / "a.abc")
    assert [good] == files.read(tmp_path / "a.abc") and isinstance(bad, CarouselError)
    with pytest.raises(CarouselError, match=r"a\.txt: not a music file; use one of \.mid"):
        files.read(tmp_path / "a.txt")
