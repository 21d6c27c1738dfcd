"""ABC reads back as it was: in music21, and in abc2midi, which shares nothing with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import music21
import pytest

from generator.music import abc, files, midi
from generator.music.layout import lay_out
from generator.music.score import Note, PieceEnd, Score, Tempo, TimeSignature, Voice
from generator.streaming.engine import load
from tests.conftest import ROOT
from tests.test_engraving import line, monophonic, score, sounding, tied_together

Notes = Counter[tuple[Fraction, Fraction, int]]
"""Start after the first note and length, in quarters, and pitch."""


def counted(notes: list[tuple[Fraction, Fraction, int]]) -> Notes:
    """Notes on a grid of 48 to the quarter, as abc2midi ends each note a tick early."""
    first = min(start for start, _, _ in notes)
    return Counter((on_grid(start - first), on_grid(length), pitch) for start, length, pitch in notes)


def on_grid(quarters: Fraction) -> Fraction:
    return Fraction(round(quarters * 48), 48)


def written(piece: Score) -> Notes:
    """The notes as they are laid out, which are those of the score where it can be written."""
    layers = [layer for staff in lay_out(piece).staves for layer in staff.layers]
    return counted([(c.start, c.end - c.start, pitch) for layer in layers for c in layer for pitch in c.pitches])


def read_by_abc2midi(data: bytes, folder: Path) -> Notes:
    if not shutil.which("abc2midi"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("abc2midi is not installed")
    (folder / "a.abc").write_bytes(data)
    command = ["abc2midi", "a.abc", "-o", "a.mid"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    assert "Error" not in said and "Warning" not in said, said
    piece = midi.read(folder / "a.mid")
    quarter = piece.ticks_per_quarter
    return counted(
        [(Fraction(n.start_ticks, quarter), Fraction(n.duration_ticks + 1, quarter), n.pitch) for n in piece.notes]
    )


def read_by_music21(data: bytes) -> tuple[Any, Notes]:
    """The stream that music21 reads, and its notes, ties taken together."""
    converter = music21.converter.Converter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter.parseData(data.decode(), format="abc")
    return converter.stream, counted([note for part in converter.stream.parts for note in tied_together(part)])


@pytest.mark.parametrize(("name", "tokens"), [("folk", 550), ("bach", 900)])
def test_a_take_reads_back_as_it_was(name: str, tokens: int, tmp_path: Path) -> None:
    """Over the ends of several pieces, with their keys and metres."""
    stream = load(ROOT / "checkpoints" / name).stream(seed=7)
    piece = stream.engine.tokenizer.collect(stream.pull(tokens))
    assert isinstance(piece, Score) and piece.piece_ends
    data = abc.to_abc(piece)
    assert data == abc.to_abc(piece)
    quarter = piece.ticks_per_quarter
    plain = [(Fraction(n.start_ticks, quarter), Fraction(n.duration_ticks, quarter), n.pitch) for n in piece.notes]
    assert written(piece) == counted(plain)
    assert read_by_abc2midi(data, tmp_path) == counted(plain)
    (tmp_path / "a.abc").write_bytes(data)
    [again] = files.read(tmp_path / "a.abc")
    assert {note[1:] for note in sounding(again)} == {note[1:] for note in sounding(piece)}
    stream, notes = read_by_music21(data)
    assert notes == counted(plain) and len(stream.parts) == len(piece.voices)


@pytest.mark.parametrize("seed", range(3))
def test_any_voices_on_the_grid_read_back(seed: int, tmp_path: Path) -> None:
    random = Random(f"abc {seed}")
    notes = [note for voice in range(3) for note in monophonic(random, voice)]
    piece = score(*notes, TimeSignature(0, *random.choice([(4, 4), (6, 8), (3, 4), (7, 8)])), programs=(52, 0, 73))
    data = abc.to_abc(piece)
    assert read_by_abc2midi(data, tmp_path) == written(piece) == read_by_music21(data)[1]


def body(piece: Score) -> list[str]:
    """The lines after the key of the tune, without those that declare voices."""
    lines = abc.to_abc(piece).decode().splitlines()
    return [line for line in lines[next(i for i, line in enumerate(lines) if line[:2] == "K:") :] if line[0] != "%"]


def test_what_a_tune_looks_like() -> None:
    first = line("0:3 60:1/2 61:1/2 62:1 61:1 72:1 61:1 60:4 60:1/3 62:1/3 64:1/3 65:3/2 67:1/2 67:1")
    later = [replace(note, start_ticks=note.start_ticks + 192) for note in line("62:1 66:1 69:1 66:2 74:1")]
    piece = score(
        *first, *later, TimeSignature(0, 4, 4), TimeSignature(192, 3, 4), PieceEnd(192), Tempo(0, 90.2), Tempo(60, 100),
        programs=(73,), title="The 100%\n tune\\",
    )  # fmt: skip
    text = abc.to_abc(replace(piece, style="slip jig")).decode()
    assert text.startswith(
        "%abc-2.1\nX:1\nT:The 100 tune\nR:slip jig\nM:4/4\nL:1/8\nQ:1/4=90\nK:F\n%%MIDI program 73\n"
    )
    assert body(piece)[1:] == [
        "C^C | D2 [Q:1/4=100]^C2 =c2 ^C2 | C8 | (3:2:3CDE F3G G2 |]",
        "M:3/4",
        "K:D",
        "D2 F2 A2 | F4 d2 |]",
    ]


def test_ties_and_chords() -> None:
    held = [Note(0, 72, 60), Note(0, 72, 67), Note(0, 72, 70), Note(72, 24, 71)]
    piece = score(*held, TimeSignature(0, 4, 4), programs=(73,))
    assert body(piece)[1:] == ["[C8-G8-B8-] | [C4G4B4] =B4 |]"]
    late = score(*line("60:8 65:8 64:3 66:5 67:4 60:4"), TimeSignature(0, 4, 4), programs=(73,))
    assert "E6 ^F2- | ^F8 |" in body(late)[2], "an accidental is repeated behind the bar line"


def test_voices_have_clefs_names_and_sounds() -> None:
    voices = (Voice('The "first"', 40), Voice("Low", 42), Voice("Kit", 0, drum=True))
    notes = (Note(0, 480, 72), Note(0, 480, 40, voice=1), Note(0, 480, 38, voice=2))
    text = abc.to_abc(Score(480, voices, notes)).decode()
    assert "%%score 1 2 3\n" in text
    assert "V:1 clef=treble name=\"The 'first'\"\n%%MIDI program 40\n" in text
    assert 'V:2 clef=bass name="Low"\n%%MIDI program 42\n' in text
    assert 'V:3 clef=perc name="Kit"\n%%MIDI channel 10\n' in text


def test_a_piano_has_a_voice_for_each_layer(tmp_path: Path) -> None:
    upper = [Note(0, 96, 84), Note(0, 48, 72), Note(48, 48, 74)]
    piece = score(*upper, Note(0, 96, 40), TimeSignature(0, 4, 4), quarter=24, programs=(0,))
    data = abc.to_abc(piece)
    assert b"%%score {(1 2) 3}\n" in data
    assert read_by_abc2midi(data, tmp_path) == written(piece) == read_by_music21(data)[1]
