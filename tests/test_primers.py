"""What is uploaded to go on from: refused in one line where it is broken or too long, and only its end counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.foundation.errors import CarouselError
from generator.music.score import Note, Score
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.web import primers
from tests.conftest import four_voices

TUNE = four_voices()


@pytest.mark.parametrize(
    ("name", "data", "medium"),
    [
        ("a.mid", b"", "music"),
        ("a.mid", b"MThd\0\0\0\6\0\1\0\0\1\xe0", "music"),
        ("a.mid", b"garbage" * 50, "music"),
        ("a.musicxml", b"<score-partwise><part>", "music"),
        ("a.abc", b"\xff\xfe nothing", "music"),
        ("a.krn", b"", "music"),
        ("a.txt", b"hello", "music"),
        ("a.mid", b"MThd", "text"),
        ("a.txt", b"", "text"),
        ("a.txt", b"\xff\xfe\xfd\x80", "text"),
        ("../../etc/passwd", b"root", "text"),
        ("a.take", b"", "music"),
        ("a.take", b"\xff" * 100, "text"),
    ],
)
def test_a_broken_primer_is_refused_in_one_line(name: str, data: bytes, medium: str) -> None:
    with pytest.raises(CarouselError) as caught:
        primers.read(name, data, medium)
    assert "\n" not in str(caught.value) and name in str(caught.value) and "/tmp" not in str(caught.value)


def test_a_take_that_takes_too_long_is_refused(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = text.stream()
    for temperature in (0.9, 0.8, 0.7):
        stream.pull(4)
        stream.set(temperature=temperature)
    data = stream.snapshot().to_bytes()
    for limit, words in (("MAX_PAST", "12 tokens; .* 3 at most"), ("MAX_CHANGES", "4 changes; .* 3 at most")):
        assert isinstance(primers.read("a.take", data, "text"), Snapshot)
        with monkeypatch.context() as patched, pytest.raises(CarouselError, match=rf"^a\.take: a take of {words}"):
            patched.setattr(primers, limit, 3)
            primers.read("a.take", data, "text")


def test_only_the_last_part_of_a_primer_counts(tmp_path: Path) -> None:
    assert primers.read("a.txt", "naïve\r\n".encode(), "text") == "naïve\n"
    assert primers.last_part("x" * 5000) == "x" * primers.MAX_CHARACTERS
    long = Score(12, TUNE.voices, tuple(Note(12 * beat, 12, 60) for beat in range(1000)))
    part = primers.last_part(long)
    assert isinstance(part, Score)
    assert primers.MAX_NOTES <= len(part.notes) < primers.MAX_NOTES + 4 and part.notes[0].start_ticks == 0
    assert primers.last_part(TUNE) == TUNE
