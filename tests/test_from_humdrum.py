"""Humdrum is read as verovio reads it, wherever the columns of a spine go."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path
from random import Random

import music21
import pytest
import verovio

from generator.foundation.errors import CarouselError
from generator.music import from_humdrum, midi, notation
from generator.music.score import Score, Tempo, TimeSignature
from generator.music.written import to_score

CORPUS = Path(music21.__file__).parent / "corpus"
Heard = list[tuple[Fraction, int, Fraction]]


def kern(*rows: str) -> str:
    """A file of the given rows, with blanks for tabs."""
    return "\n".join("\t".join(row.split(" ")) for row in rows) + "\n"


def heard(piece: Score) -> Heard:
    """(start, pitch, length) in quarters, from the first note on, to a 24th of a quarter."""
    first = min(note.start_ticks for note in piece.notes)
    grid = [Fraction(round(Fraction(24 * ticks, piece.ticks_per_quarter)), 24) for n in piece.notes
            for ticks in (n.start_ticks - first, n.duration_ticks)]  # fmt: skip
    return sorted(zip(grid[::2], (note.pitch for note in piece.notes), grid[1::2], strict=True))


def heard_by_verovio(text: str, folder: Path) -> Heard:
    toolkit = verovio.toolkit()
    toolkit.setOptions({"breaks": "none", "inputFrom": "humdrum"})
    assert toolkit.loadData(text)
    (folder / "a.mid").write_bytes(base64.b64decode(toolkit.renderToMIDI()))
    return heard(midi.read(folder / "a.mid"))


def read(text: str) -> Score:
    return to_score(from_humdrum.read(text), regular=False, expand_repeats=True)


BEFORE = ("**kern **kern", "*M4/4 *M4/4", "=1 =1", "4C 4e", "4D 2f", "4E .", "4E 4g")
MOVED = {
    "exchanged": ((*BEFORE, "*x *x", "=2 =2", "4e 4C", "4f 4D", "2g 2E", "== ==", "*- *-"), 13),
    "split and joined": (
        (*BEFORE, "* *^", "=2 =2 =2", "4C 4e 4c", "4D 4f 2d", "2E 2g .", ". . 4cc", "* *v *v", "=3 =3", "1C 1g",
         "== ==", "*- *-"),
        18,
    ),
    "added after a join": (
        (*BEFORE, "* *^", "=2 =2 =2", "1C 1e 1c", "* *v *v", "* *+", "* * **kern", "=3 =3 =3", "1C 1e 1g", "== == ==",
         "*- *- *-"),
        13,
    ),
    "ended early": ((*BEFORE, "*- *", "=2", "1g", "==", "*-"), 8),
    "beside lyrics": (
        ("**kern **text", "*M2/4 *", "=1 =1", "4c la", "8d -", "8e- .", "=2 =2", "[2c 4", "=3 =3", "2c] .", "*- *-"), 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "count"), MOVED.values(), ids=MOVED)
def test_notes_stay_wherever_their_columns_go(rows: tuple[str, ...], count: int, tmp_path: Path) -> None:
    text = kern(*rows)
    found = heard(read(text))
    assert len(found) == count
    if "*+" not in text and "*-\t*\n" not in text:  # verovio does not follow spines that come and go
        assert found == heard_by_verovio(text, tmp_path)


def test_chorales_are_heard_as_by_verovio(tmp_path: Path) -> None:
    for path in [*CORPUS.glob("bach/*.krn")][:2]:
        text = notation._text(path)
        assert heard(read(text)) == heard_by_verovio(text, tmp_path)


@pytest.mark.slow
def test_masses_are_heard_as_by_verovio(tmp_path: Path) -> None:
    paths = sorted(CORPUS.glob("*/*.krn"))
    for path in paths[::40]:
        text = notation._text(path)
        assert heard(read(text)) == heard_by_verovio(text, tmp_path), path
    for path in paths:
        from_humdrum.read(notation._text(path))


@pytest.mark.parametrize("seed", range(20))
def test_random_splits_lose_nothing(seed: int) -> None:
    """Columns are split, joined, exchanged and moved at random; the notes stay those that were written."""
    random = Random(f"kern {seed}")
    columns, rows, count = [0, 1, 2], ["**kern **kern **kern", "*M2/4 *M2/4 *M2/4"], 0
    for bar in range(1, 30):
        rows.append(" ".join(f"={bar}" for _ in columns))
        for _ in range(2):
            tokens = [
                random.choice(["4c", "4dd#", "4r", "4E- 4G", "4a"]) if random.random() < 0.9 else "4B" for _ in columns
            ]
            rows.append("\t".join(tokens))
            count += sum("r" not in note for token in tokens for note in token.split(" "))
        kind = random.choice(["split", "join", "exchange"])
        at = random.randrange(len(columns) - 1)
        paths = ["*"] * len(columns)
        if kind == "split" and len(columns) < 8:
            paths[at] = "*^"
            columns.insert(at, columns[at])
        elif kind == "join" and columns[at] == columns[at + 1]:
            paths[at] = paths[at + 1] = "*v"
            del columns[at]
        elif kind == "exchange":
            paths[at] = paths[at + 1] = "*x"
            columns[at], columns[at + 1] = columns[at + 1], columns[at]
        rows.append(" ".join(paths))
    rows.append(" ".join("*-" for _ in columns))
    text = "\n".join(row if "\t" in row else "\t".join(row.split(" ")) for row in rows)
    written = from_humdrum.read(text)
    assert sum(len(sounds) for _, sounds in written.parts) == count
    assert [measure.length for measure in written.measures] == [2] * 29


def test_what_stands_before_the_music() -> None:
    rows = ("!!!OTL:_Air", "**kern **kern", '*Icello *I"First_violin', "*M3/8 *M3/8", "*MM90 *MM90", "=1 =1", ". qg")
    notes = ("8C 4.e", "8D .", "8E .", "=:|! =:|!", "*- *-")
    piece = read(kern(*rows, *notes).replace("_", " "))
    assert piece.title == "Air" and [voice.name for voice in piece.voices] == ["First violin", "Violoncello"]
    assert piece.voices[1].program == 42
    assert piece.time_signatures == (TimeSignature(0, 3, 8),) and piece.tempos == (Tempo(0, 90.0),)
    assert [(each.count, each.thing) for each in piece.omissions] == [(1, "grace note")]
    assert len(piece.notes) == 8, "the repeat is written out"


def test_only_a_title_is_the_title() -> None:
    rows = ("!!!COM:_Bach", "**kern", "!!!OTL:_Air", "4c", "!!!OTL@DE:_Luft", "*-")
    assert read(kern(*rows).replace("_", " ")).title == "Air"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (("**kern **kern", "4c 4d", "4e"), "line 3 has 1 columns where 2 spines are open"),
        (("4c 4d",), "line 1 does not begin spines"),
        (("**kern **kern", "4c 2d", "4e 4f"), "line 3 has notes that do not start together"),
        (("**kern", "c"), "line 2 has a note without a length: c"),
        (("**kern", "4x"), "line 2 has a note without a pitch: 4x"),
        (("**kern", "4" + 12 * "c"), "line 2 has a note that is too high or too low"),
        (("**kern", "*^", "*x *"), "line 3 exchanges a spine with none"),
        (("**text", "la"), "no notes"),
    ],
)
def test_what_does_not_add_up_is_refused_with_its_line(rows: tuple[str, ...], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.krn"
    path.write_text(kern(*rows))
    with pytest.raises(CarouselError, match=words):
        notation.read(path)
