"""MusicXML is read as it is written: whole corpora beside a second reader, which knows the elements of notes alone."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import music21
import pytest

from generator.music import from_musicxml, notation
from generator.music.voices import OVERLAPPED
from generator.music.written import Written, to_score

CORPUS = Path(music21.__file__).parent / "corpus"
Heard = Counter[tuple[Fraction, Fraction, int]]
"""How often a note has this start in its bar, this length in quarters, and this pitch."""


def written_in(root: Any) -> Heard:
    """The notes that sound by themselves: no grace notes, and no cues."""
    heard: Heard = Counter()
    for part in root.iter("part"):
        divisions, transposed = 1, 0
        for measure in part.iter("measure"):
            now = begun = Fraction(0)
            for element in measure:
                length = Fraction(element.findtext("duration") or 0) / divisions
                if element.tag == "attributes":
                    divisions = int(element.findtext("divisions") or divisions)
                    if (moved := element.find("transpose")) is not None:
                        octaves = int(moved.findtext("octave-change") or 0)
                        transposed = int(moved.findtext("chromatic") or 0) + 12 * octaves
                elif element.tag in ("backup", "forward"):
                    now += length if element.tag == "forward" else -length
                elif element.tag == "note" and element.find("grace") is None:
                    if element.find("chord") is None:
                        begun, now = now, now + length
                    pitch = element.find("pitch")
                    if pitch is not None and element.find("cue") is None:
                        step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[pitch.findtext("step")]
                        octave = 12 * int(pitch.findtext("octave")) + 12
                        altered = round(float(pitch.findtext("alter") or 0))
                        heard[begun, length, step + octave + altered + transposed] += 1
    return heard


def read_in(written: Written) -> Heard:
    """The same by our reader."""
    starts = [measure.start for measure in written.measures]
    return Counter(
        (sound.start - starts[bisect_right(starts, sound.start) - 1], sound.end - sound.start, sound.pitch)
        for _, sounds in written.parts
        for sound in sounds
    )


PART = """<part id="{}"><measure number="1"><attributes><divisions>2</divisions>
<time><beats>4</beats><beat-type>4</beat-type></time></attributes>{}</measure><measure number="2">{}</measure></part>"""


def document(*parts: tuple[str, str]) -> str:
    """A score of parts with two bars each."""
    listed = "".join(f'<score-part id="P{at}"><part-name>P{at}</part-name></score-part>' for at in range(len(parts)))
    bodies = "".join(PART.format(f"P{at}", *bars) for at, bars in enumerate(parts))
    return f'<score-partwise version="4.0"><part-list>{listed}</part-list>{bodies}</score-partwise>'


def note(step: str, halves: int) -> str:
    kind = f"<pitch><step>{step}</step><octave>4</octave></pitch>" if step else "<rest/>"
    return f"<note>{kind}<duration>{halves}</duration></note>"


def test_bars_start_together_in_all_parts(tmp_path: Path) -> None:
    """A part has a rest too many; another one is short of a beat."""
    path = tmp_path / "a.musicxml"
    path.write_text(
        document(
            (note("C", 8), note("D", 8)),
            (note("", 8) + note("", 8), note("F", 8)),
            (note("G", 6), note("A", 8)),
        )
    )
    [piece] = notation.read(path)
    starts = {note.pitch: note.start_ticks / piece.ticks_per_quarter for note in piece.notes}
    assert starts == {60: 0, 67: 0, 62: 4, 65: 4, 69: 4}
    assert read_in(from_musicxml.read(path)) == written_in(from_musicxml._root(path))


def test_notes_beyond_the_bar_make_it_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.musicxml"
    path.write_text(document((note("C", 8), note("D", 8)), (note("E", 8) + note("E", 4), note("F", 8))))
    [piece] = notation.read(path)
    starts = {note.pitch: note.start_ticks / piece.ticks_per_quarter for note in piece.notes if note.pitch in (62, 65)}
    assert starts == {62: 6, 65: 6}


def agreement(step: int) -> Counter[str]:
    """How the two readers agree on the MusicXML files that music21 brings, one of `step`."""
    paths = sorted(path for suffix in ("mxl", "xml", "musicxml") for path in CORPUS.rglob(f"*.{suffix}"))
    found: Counter[str] = Counter()
    for path in paths[::step]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # music21 warns about details of notation
                written = from_musicxml.read(path)
            piece = to_score(written, regular=False, expand_repeats=False)
        except Exception as error:
            found["refused"] += 1
            print(path, error)
            continue
        sounds = [sound for _, part in written.parts for sound in part]
        overlapped = sum(one.count for one in piece.omissions if one.thing == OVERLAPPED[0])
        whole = len(piece.notes) + overlapped >= len(sounds) - sum(sound.tied for sound in sounds)
        alike = whole and read_in(written) == written_in(from_musicxml._root(path))
        found["alike" if alike else "other"] += 1
        if not alike:
            print(path, "is read in another way")
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whole_corpora_are_read_as_written() -> None:
    """Each note at its place in its bar, with its length and its pitch."""
    found = agreement(1)
    assert found.total() > 600 and found["refused"] <= 0.01 * found.total(), found
    assert found["other"] <= 0.005 * found.total(), found
