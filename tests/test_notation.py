"""Written music: bars, pickups, repeats and ties come out as one would count them."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import music21
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Omission
from generator.music import bars, from_music21, notation
from generator.music.bars import IrregularBars, Measure
from generator.music.score import Note, Score, Tempo, TimeSignature
from generator.music.written import TICKS_PER_QUARTER as Q

CORPUS = Path(music21.__file__).parent / "corpus"


def tune(body: str, metre: str = "4/4", number: int = 1, **fields: str) -> str:
    extra = "".join(f"{letter}:{value}\n" for letter, value in fields.items())
    return f"X:{number}\nT:Tune {number}\nM:{metre}\nL:1/4\n{extra}K:C\n{body}\n"


def abc(tmp_path: Path, *tunes: str) -> Path:
    path = tmp_path / "tunes.abc"
    path.write_text("\n".join(tunes), encoding="utf-8")
    return path


def line(score: Score) -> list[tuple[Fraction, Fraction, int]]:
    """(start, length, pitch) in quarters."""
    return [(Fraction(n.start_ticks, Q), Fraction(n.duration_ticks, Q), n.pitch) for n in score.notes]


def test_a_pickup_lies_at_the_end_of_the_first_bar(tmp_path: Path) -> None:
    [score] = notation.read(abc(tmp_path, tune("G|cdef|gab|]")))
    assert [start for start, _, _ in line(score)] == [3, *range(4, 11)]
    assert score.time_signatures == (TimeSignature(0, 4, 4),)
    assert [start // Q for start, _ in score.bar_starts()] == [0, 4, 8]
    assert score.title == "Tune 1"


def test_a_bar_cut_by_a_repeat_is_whole_again(tmp_path: Path) -> None:
    [score] = notation.read(abc(tmp_path, tune("G|cdef|gab:|G|cdef|gab:|")), regular=True)
    assert score.time_signatures == (TimeSignature(0, 4, 4),)
    assert len(score.notes) == 16


def test_repeats_are_written_out_where_wanted(tmp_path: Path) -> None:
    path = abc(tmp_path, tune("G|:CDEF|GABc|1cBAG|FEDG:|2cdef|gab||G|cccc|ddd:|"))
    [written] = notation.read(path, regular=True)
    [played] = notation.read(path, regular=True, expand_repeats=True)
    names = "".join(music21.pitch.Pitch(pitch).name for _, _, pitch in line(played))
    assert names == "GCDEFGABCCBAGFEDG" + "CDEFGABCCDEFGAB" + "GCCCCDDD" * 2
    assert len(written.notes) == 17 + 7 + 8
    assert [start for start, _, _ in line(played)] == list(range(3, 3 + len(names)))


def test_a_repeat_that_breaks_the_bars_stays_as_written(tmp_path: Path) -> None:
    path = abc(tmp_path, tune("G|CDEF|GABc|cdef:|"))
    assert notation.read(path, expand_repeats=True) == notation.read(path)


def test_an_odd_bar_has_its_own_metre_or_is_refused(tmp_path: Path) -> None:
    path = abc(tmp_path, tune("cdef|gab|c'bag|fedc|]"))
    [score] = notation.read(path)
    assert score.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(4 * Q, 3, 4), TimeSignature(7 * Q, 4, 4))
    with pytest.raises(CarouselError, match="bar 2 is 3 quarters long where its metre has 4"):
        notation.read(path, regular=True)
    with pytest.raises(CarouselError, match="bar 2 is 5 quarters long"):
        notation.read(abc(tmp_path, tune("cdef|gabc'd'|c'bag|]")), regular=True)


def test_ties_tuplets_chords_and_graces(tmp_path: Path) -> None:
    [score] = notation.read(abc(tmp_path, tune("{g}c2-c/2(3d/2e/2f/2z/2|[CEG]4|]")))
    assert line(score) == [
        (0, Fraction(5, 2), 72),
        *((Fraction(5, 2) + Fraction(i, 3), Fraction(1, 3), pitch) for i, pitch in enumerate((74, 76, 77))),
        *((4, 4, pitch) for pitch in (67, 64, 60)),
    ]


def test_tempos_that_are_given_and_no_others(tmp_path: Path) -> None:
    given_one, none = notation.read(abc(tmp_path, tune("cdef|]", Q="1/4=90"), tune("cdef|]", number=2)))
    assert given_one.tempos == (Tempo(0, 90.0),)
    assert none.tempos == ()


def test_a_bad_tune_does_not_hide_the_others(tmp_path: Path) -> None:
    path = abc(
        tmp_path,
        tune("cdef|]"),
        tune("cdef|gabc'd'|]", metre="x/y", number=2),
        tune("", number=3),
        tune("ccc|]", "3/4", 4),
    )
    found = list(notation.read_each(path, regular=True))
    assert [type(piece) for piece in found].count(Score) >= 2
    [reason] = [str(piece) for piece in found if isinstance(piece, CarouselError) and "tune 3" in str(piece)]
    assert "no notes" in reason
    assert notation.read(path)[0].title == "Tune 1"


def partwise(*parts: str, transpose: str = "") -> str:
    listed = "".join(f'<score-part id="P{i}"><part-name>Part {i}</part-name></score-part>' for i in range(len(parts)))
    metre = "<time><beats>2</beats><beat-type>4</beat-type></time>"
    head = f"<attributes><divisions>2</divisions>{transpose}{metre}</attributes>"
    bodies = "".join(
        f'<part id="P{i}"><measure number="1">{head}{notes}</measure></part>' for i, notes in enumerate(parts)
    )
    return (
        f'<?xml version="1.0"?><score-partwise version="4.0"><part-list>{listed}</part-list>{bodies}</score-partwise>'
    )


def sounding(step: str, octave: int, duration: int = 4) -> str:
    return f"<note><pitch><step>{step}</step><octave>{octave}</octave></pitch><duration>{duration}</duration></note>"


def test_musicxml_gives_a_voice_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a.musicxml"
    path.write_text(partwise(sounding("G", 4), sounding("C", 4, 2) * 2, "<note><rest/><duration>4</duration></note>"))
    [score] = notation.read(path)
    assert [voice.name for voice in score.voices] == ["Part 0", "Part 1"]
    assert score.notes == (Note(0, 2 * Q, 67, voice=0), Note(0, Q, 60, voice=1), Note(Q, Q, 60, voice=1))
    packed = tmp_path / "a.mxl"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, "a.xml")
    assert notation.read(packed)[0].notes == score.notes


@pytest.mark.parametrize(("letter", "metre"), [("C", (4, 4)), ("C|", (2, 2))])
def test_metres_as_letters(tmp_path: Path, letter: str, metre: tuple[int, int]) -> None:
    [score] = notation.read(abc(tmp_path, tune("cdef|gabc'|cdef|gabc'|", metre=letter)))
    assert score.time_signatures == (TimeSignature(0, *metre),)


def test_notes_that_sound_already_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.musicxml"
    again = "<backup><duration>4</duration></backup>" + sounding("G", 4)
    path.write_text(partwise(sounding("G", 4) + 3 * again))
    [score] = notation.read(path)
    assert len(score.notes) == 1
    assert [omission.count for omission in score.omissions] == [3]


def test_transposing_instruments_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    transpose = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    path.write_text(partwise(sounding("D", 4), transpose=transpose))
    assert [note.pitch for note in notation.read(path)[0].notes] == [60]


def test_humdrum(tmp_path: Path) -> None:
    path = tmp_path / "a.krn"
    path.write_text("**kern\t**kern\n*M3/4\t*M3/4\n=1\t=1\n4C\t4e\n4D\t2f\n4E\t.\n==\t==\n*-\t*-\n")
    [score] = notation.read(path)
    assert sorted(line(score)) == [(0, 1, 48), (0, 1, 64), (1, 1, 50), (1, 2, 65), (2, 1, 52)]
    assert score.time_signatures == (TimeSignature(0, 3, 4),)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.musicxml", b"", "empty"),
        ("a.xml", b"<html><body>no music</body></html>", "cannot be read as MusicXML|no notes"),
        ("a.xml", b"<score-partwise><part-list>", "cannot be read as MusicXML"),
        ("a.mxl", b"PK\3\4 not a zip", "cannot be read as MusicXML"),
        ("a.krn", b"\0\1\2", "cannot be read as Humdrum"),
        ("a.abc", b"\xff\xfe\0\1\2", "cannot be read as ABC"),
        ("a.abc", b"X:1\nM:4/4\nK:C\nC9999999|\n", "out of range"),
        ("a.abc", b"X:1\nM:1/1024\nL:1/1024\nK:C\nC|C|\n", "a metre of 1/1024|cannot be read as ABC"),
        ("a.pdf", b"%PDF", "not a file of written music"),
    ],
)
def test_bad_files_are_refused_in_a_line(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CarouselError, match=words) as caught:
        notation.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tune_in_latin_1_keeps_its_title(tmp_path: Path) -> None:
    path = tmp_path / "a.abc"
    path.write_bytes("X:1\r\nT:Café\r\nM:4/4\r\nK:C\r\nCDEF|\r\n".encode("latin-1"))
    assert notation.read(path)[0].title == "Café"
    path.write_bytes("\ufeffX:1\nT:Café\nM:4/4\nK:C\nCDEF|\n".encode())
    assert notation.read(path)[0].title == "Café"


def test_a_packed_giant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mxl"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.xml", "w", force_zip64=True) as file,
    ):
        for _ in range(65):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(CarouselError, match="65 MB is too large"):
        notation.read(path)


@pytest.mark.parametrize("name", ["bwv10.7", "bwv227.1", "bwv80.8", "bwv269"])
def test_chorales_keep_every_note_in_its_place(name: str) -> None:
    """Against music21's own arithmetic: offsets plus the pickup, ties joined."""
    path = CORPUS / "bach" / f"{name}.mxl"
    [score] = notation.read(path, regular=True)
    stream = music21.converter.Converter()
    stream.parseFileNoPickle(path)
    first = stream.stream.parts[0].getElementsByClass("Measure")[0]
    pickup = first.barDuration.quarterLength - first.duration.quarterLength
    for voice, part in enumerate(stream.stream.parts):
        expected = [
            (Fraction(note.offset + pickup), Fraction(note.quarterLength), note.pitch.midi)
            for note in part.stripTies().flatten().notes
            if not note.isChord
        ]
        found = [item for item, note in zip(line(score), score.notes, strict=True) if note.voice == voice]
        assert found == expected


def measures(*lengths: int, metre: tuple[int, int] = (4, 4)) -> list[Measure]:
    return bars.without_gaps([Measure(Fraction(0), Fraction(length), metre) for length in lengths])


@given(st.lists(st.sampled_from([4, 3, 1, 2, 5]), min_size=1, max_size=12))
def test_time_signatures_predict_the_bars_or_the_piece_is_refused(lengths: list[int]) -> None:
    found = measures(*lengths)
    pickup, changes = bars.metres(found, regular=False)
    assert 0 <= pickup < 4
    assert changes[0][0] == 0
    assert all(first[1] != second[1] for first, second in pairwise(changes))
    predicted: set[Fraction] = set()
    end = found[-1].start + found[-1].length + pickup
    for (start, metre), until in zip(changes, [*(start for start, _ in changes[1:]), end], strict=True):
        while start < until:
            predicted.add(start)
            start += Fraction(4 * metre[0], metre[1])
    assert predicted - {Fraction(0)} <= {measure.start + pickup for measure in found}
    try:
        assert bars.metres(found, regular=True) == (pickup, changes)
        assert changes == [(0, (4, 4))]
    except IrregularBars:
        assert len(changes) > 1 or changes[0][1] != (4, 4)


def test_a_bar_that_no_metre_has_is_refused() -> None:
    thirds = [Measure(Fraction(0), Fraction(4), (4, 4)), Measure(Fraction(4), Fraction(1, 3), (4, 4))] * 2
    with pytest.raises(IrregularBars, match="no time signature"):
        bars.metres(bars.without_gaps(thirds), regular=False)


def test_cue_notes_rest(tmp_path: Path) -> None:
    cue = "<note><cue/><pitch><step>E</step><octave>5</octave></pitch><duration>4</duration></note>"
    path = tmp_path / "a.musicxml"
    path.write_text(partwise(cue + sounding("G", 4), sounding("C", 4) * 2))
    [score] = notation.read(path)
    assert [(n.start_ticks, n.pitch) for n in score.notes] == [(0, 60), (2 * Q, 67), (2 * Q, 60)]
    assert score.omissions == (Omission(1, "cue note", "left out"),)


def test_musicxml_that_loses_notes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.musicxml"
    path.write_text(partwise(sounding("G", 4)))
    monkeypatch.setattr(from_music21, "_sounds", lambda part, left_out: [])
    with pytest.raises(CarouselError, match="finds 0 of its 1 notes"):
        notation.read(path)


def test_a_title_is_read(tmp_path: Path) -> None:
    """A piece without one has the name of its file."""
    path = tmp_path / "a.musicxml"
    for title, found in (("<movement-title>Air</movement-title>", "Air"), ("", "a")):
        path.write_text(partwise(sounding("G", 4)).replace("<part-list>", f"{title}<part-list>"))
        assert notation.read(path)[0].title == found


def test_a_bar_without_music_leaves_the_repeat_before_it(tmp_path: Path) -> None:
    sign = '<barline location="right"><repeat direction="backward"/></barline>'
    path = tmp_path / "a.musicxml"
    path.write_text(partwise(sounding("G", 4) + sign).replace("</part>", '<measure number="2"/></part>'))
    [score] = notation.read(path, expand_repeats=True)
    assert [note.start_ticks for note in score.notes] == [0, 2 * Q]
