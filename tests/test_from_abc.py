"""ABC is read as another reader reads it: abc2midi, on tunes of all kinds and on whole collections."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from random import Random

import music21
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.music import abc_fields, bars, from_abc, midi, notation
from generator.music.abc_fields import Unreadable
from generator.music.score import Tempo
from generator.music.written import Written, to_score

CORPUS = Path(music21.__file__).parent / "corpus"
COLLECTIONS = ("airdsAirs", "essenFolksong", "josquin", "miscFolk", "nottingham-dataset", "oneills1850", "ryansMammoth")
Heard = list[tuple[int, float, float]]
"""(pitch, start, length) in quarters, in order."""


def tune(body: str, **fields: str) -> str:
    head = {"T": "A tune", "M": "4/4", "L": "1/4", **fields}
    key = head.pop("K", "C")
    return "X:1\n" + "".join(f"{letter}:{value}\n" for letter, value in head.items()) + f"K:{key}\n{body}\n"


def played(written: Written) -> Heard:
    """What is heard with the repeats written out, whether the bars are regular or not."""
    order = bars.played(written.measures)
    heard: Heard = []
    for _, sounds in written.parts:
        line: list[list[float]] = []
        for source, target in zip(order, bars.without_gaps(order), strict=True):
            for sound in sounds:
                if source.start <= sound.start < source.start + source.length:
                    start = float(sound.start - source.start + target.start)
                    length = float(sound.end - sound.start)
                    before = [note for note in line[-12:] if note[0] == sound.pitch and sound.tied]
                    if before and abs(before[-1][1] + before[-1][2] - start) < 1e-6:
                        before[-1][2] += length
                    else:
                        line.append([sound.pitch, start, length])
        heard += [(int(pitch), start, length) for pitch, start, length in line]
    return sorted(heard)


def plain(text: str) -> str:
    """A tune without what changes how abc2midi plays its notes: ornaments, grace notes, and the swing of a rhythm."""
    lines = []
    for line in text.splitlines():
        if not re.match(r"[A-Za-z]:(?![|:])|%", line):
            line = re.sub(r'"[^"]*"|![^!\s|]+!|\{[^}]*\}', "", line)
            line = re.sub(r"[~.`H-Wh-w]+(?![^\[]*:[^\[]*\])", "", line)
        if line.strip() and not re.match("[RI]:", line):
            lines.append(line)
    return "\n".join(lines) + "\n"


def heard_by_abc2midi(tunes: list[str], folder: Path) -> list[Heard]:
    if not shutil.which("abc2midi"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("abc2midi is not installed")
    heard: list[Heard] = []
    for tune in tunes:  # in one file, abc2midi would play a tune with what the ones before it have said
        text = re.sub(r"^X:.*", "X:1", plain(tune))
        (folder / "a.abc").write_text(text, encoding="latin-1", errors="replace")
        subprocess.run(["abc2midi", "a.abc", "-NGUI"], cwd=folder, check=False, capture_output=True)
        piece = midi.read(folder / "a1.mid")
        (folder / "a1.mid").unlink()
        ticks = piece.ticks_per_quarter
        heard.append(sorted((n.pitch, n.start_ticks / ticks, (n.duration_ticks + 1) / ticks) for n in piece.notes))
    return heard


def same(first: Heard, second: Heard, lengths: bool = True) -> bool:
    """Whether two readers hear the same. abc2midi rolls some chords by a 48th of a quarter."""
    return len(first) == len(second) and all(
        a[0] == b[0] and abs(a[1] - b[1]) < 0.05 and (not lengths or abs(a[2] - b[2]) < 0.06)
        for a, b in zip(first, second, strict=True)
    )


FAULTS = {
    "a double repeat sign": ("|:CDEF::GABc:|", "C D E F C D E F G A B c G A B c"),
    "accidentals hold through the bar": ("^C C =C C|C c ^c C|", "^C ^C C C C c ^c ^C"),
    "and not beyond": ("^C _D|C D|", "^C ^C C D"),
    "decorations are no notes": ("HF G JA vB|!trill!c .d ~e f|", "F G A B c d e f"),
    "whole bars of rest": ("CDEF|Z2|GABc|", "C D E F z8 G A B c"),
    "tied chords": ("[CEG]2-[CEG]2|C2-C2-|C4|", "[CEG]4 C8"),
    "a tie carries the accidental": ("^F4-|F2 F2|", "^F6 F2"),
    "endings for several turns": ("|:CDEF|[1,2 GABc:|[3 c4|]", "C D E F G A B c C D E F G A B c C D E F c4"),
    "three endings": ("|:C4|[1 G4:|[2 A4:|[3 B4|]", "C4 G4 C4 A4 C4 B4"),
    "a range of endings": ("|:C4|1-2 G4:|3 A4|]", "C4 G4 C4 G4 C4 A4"),
    "endings of two repeats": ("|:C4|1D4:|2E4|:F4|1G4:|2A4|]", "C4 D4 C4 E4 F4 G4 F4 A4"),
    "three turns": ("|::C4::|", "C4 C4 C4"),
    "broken rhythm": ("A>B C<D|A>|B c2z|", "3/2A 1/2B 1/2C 3/2D"),
    "a unit within the tune": ("CD[L:1/8]EFGA|", "C D 1/2E 1/2F 1/2G 1/2A"),
    "a line that begins with a colon": ("C4|\n:D4:|", "C4 D4 D4"),
    "a repeat ends behind a hidden bar line": ("C4|:D4|E4[|]:|", "C4 D4 E4 D4 E4"),
    "a double bar within a repeat": ("|:C4||D4:|", "C4 D4 C4 D4"),
}


@pytest.mark.parametrize(("body", "notes"), FAULTS.values(), ids=FAULTS)
def test_what_a_tune_means(body: str, notes: str, tmp_path: Path) -> None:
    found = played(from_abc.read(tune(body)))
    if "/" not in notes:
        straight = re.sub(r"(?<=[^\s])(?=\s)", "|", notes)
        assert same(found, played(from_abc.read(tune(straight))))
    if "::C" not in body:
        [heard] = heard_by_abc2midi([tune(body.replace("|\n:", "|\n|:"))], tmp_path)
        assert same(found, heard)


def test_layers_of_a_bar_start_together() -> None:
    assert played(from_abc.read(tune("C D E F & G4|A4|"))) == sorted(
        [(60, 0, 1), (62, 1, 1), (64, 2, 1), (65, 3, 1), (67, 0, 4), (69, 4, 4)]
    )
    assert len(played(from_abc.read(tune("[=C^C]4|")))) == 2


def test_voices_keep_their_names_sounds_and_bars() -> None:
    score = to_score(
        from_abc.read(
            'X:1\nM:3/4\nL:1/4\nV:S name="Up"\nV:B clef=bass octave=-1\nK:G\n%%MIDI program 40\n'
            "[V:S]FGA|B3|\n[V:B]%%no\n%%MIDI program 42\nCDE|F3|\nV:S\nc3|]\nV:B\nG3|]\n"
        ),
        regular=True,
        expand_repeats=True,
    )
    assert [(voice.name, voice.program) for voice in score.voices] == [("Up", 40), ("Voice 2", 42)]
    assert [note.pitch for note in score.notes if note.voice == 1] == [48, 50, 52, 54, 55]
    assert [note.pitch for note in score.notes if note.voice == 0] == [66, 67, 69, 71, 72]


@pytest.mark.parametrize(
    ("key", "sharps", "flats"),
    [
        ("G", "F", ""), ("Bbmaj", "", "BE"), ("F#m", "FCG", ""), ("A Mixolydian", "FC", ""), ("Edor", "FC", ""),
        ("D exp _b", "", "B"), ("D =c", "F", ""), ("Am ^f _B", "F", "B"), ("HP", "FC", ""), ("none", "", ""),
        ("Cb", "", "BEADGCF"), ("E phr bass", "", ""), ("D clef=treble-8 middle=d", "FC", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_keys(key: str, sharps: str, flats: str) -> None:
    signs, _ = abc_fields.key(key)
    assert signs is not None
    assert {letter for letter, sign in signs.items() if sign > 0} == set(sharps)
    assert {letter for letter, sign in signs.items() if sign < 0} == set(flats)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (tune("CDEF|", K="Hdur"), "the key K:Hdur is none"),
        (tune("CDEF|", K="Cdur"), "the key K:Cdur is none"),
        (tune("CDEF|", M="x/y"), "the metre M:x/y is none"),
        (tune("CDEF|", L="short"), "the unit length L:short is none"),
        (tune("CDEF|", Q="1/4="), "the tempo Q:1/4= is none"),
        (tune("CDEF|C D 5 E|"), "bar 2: 5 E.* has no meaning in ABC"),
        (tune('CDEF|"Am C D|'), 'bar 2: "Am C D.* has no meaning in ABC'),
        (tune("CDEF|[CE G|"), "bar 2: .*has no meaning in ABC"),
        (tune("CDEF|[C5z]|"), r"bar 2: \[C5z\] is no chord"),
        (tune("CD : EF|"), "bar 1: : has no meaning in ABC"),
        (tune("CDEF|L:1/8 C D|"), "bar 2: L:1/8 C D.* has no meaning in ABC"),
        (tune("|>C|"), "bar 1: > has no note before it"),
        (tune("c''''''''|"), "too high or too low"),
        (tune("C99999|"), "the number 99999 is out of range"),
        (tune("Z9999|Z9999|Z9999|"), "longer than a day"),
        (tune("CDEF|[1-2-3 C4|"), "has no meaning in ABC"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        from_abc.read(text)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.abc"
    path.write_text(
        tune('P:A\n"Am"{ga}C "^slow"D E F|!D.C.!c4|\n\nthe tune ends here\nc4|', P="ABA")
        + tune("|:C4|D4:|[2 E4|]", X="2")
    )
    first, second = notation.read(path, expand_repeats=True)
    assert {(each.count, each.thing) for each in first.omissions} == {
        (1, "chord symbol"), (2, "grace note"), (1, "jump"), (1, "tune"), (1, "line"),
    }  # fmt: skip
    assert [each.thing for each in second.omissions] == ["piece"]
    assert len(second.notes) == 3, "an ending that is never played keeps the repeats as they are"


@pytest.mark.parametrize(
    ("metre", "quarters"), [("2/4", "1/4"), ("5/8", "1/4"), ("6/8", "1/2"), ("3/4", "1/2"), ("4/4", "1/2")]
)
def test_the_unit_of_a_tune_that_states_none(metre: str, quarters: str) -> None:
    [(_, _, length)] = played(from_abc.read(f"X:1\nM:{metre}\nK:C\nC4|\n"))
    assert length == 4 * Fraction(quarters)


def test_a_tune_without_bar_lines_has_bars() -> None:
    found = from_abc.read("X:1\nM:2/4\nL:1/4\nK:C\nCDEFG\n").measures
    assert [(measure.start, measure.length) for measure in found] == [(0, 2), (2, 2), (4, 1)]


def test_a_title_begins_with_its_article() -> None:
    assert from_abc.read(tune("C4|", T="Hag with the Money, The")).title == "The Hag with the Money"


def test_tempos_count_quarters() -> None:
    for text, expected in {"90": 90, "1/4=90": 90, "3/8=60": 90, 'C2="x"': 0, '"Slow" 1/2=40': 80, "C2=45": 90}.items():
        if expected:
            assert to_score(from_abc.read(tune("C4|", Q=text)), False, False).tempos == (Tempo(0, expected),)


@given(st.text(alphabet="ABCcdg^_=,'/23<>()[]{}|:&-zZ\"!.~ \n%KLMV", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        written = from_abc.read(tune(text))
    except Unreadable:
        return
    assert all(sound.start < sound.end for _, sounds in written.parts for sound in sounds)


def generated(random: Random) -> tuple[str, int]:
    """A tune as in the Nottingham collection, and how many notes it has with its repeats as they are written."""
    numerator, denominator = random.choice([(4, 4), (3, 4), (2, 4), (6, 8), (9, 8)])
    unit, notes, tied = Fraction(1, 8), 0, ""

    def bar() -> str:
        nonlocal unit, notes, tied
        text, left = "", Fraction(numerator, denominator)
        while left:
            if not tied and random.random() < 0.06:
                unit = random.choice([Fraction(1, 8), Fraction(1, 16), Fraction(1, 4)])
                text += f"[L:{unit}]"
            room = left / unit
            letter = tied or random.choice(["", "", "", "^", "_", "="]) + random.choice(
                "CDEFGABcdefgab"
            ) + random.choice(["", "", "", "'", ","])
            if not tied:
                text += random.choice(["", "", "", '"Am7"', "{g}", "{ag}", "v", "!f!"])
            kind = random.random()
            if tied or kind < 0.5 or room < 2:
                length = room if room < 1 else Fraction(random.choice([n for n in (1, 1, 1, 2, 3) if n <= room]))
                text += f"{letter}{'' if length == 1 else length} "
                notes, tied = notes + (not tied), ""
                left -= length * unit
                if left and random.random() < 0.15:
                    text, tied = text.rstrip() + "-", letter.lstrip("^_=")
            elif kind < 0.6:
                text, notes, left = f"{text}{letter}>{random.choice('ABc')} ", notes + 2, left - 2 * unit
            elif kind < 0.7:
                text, notes, left = f"{text}(3{letter}{random.choice('ABc')}z ", notes + 2, left - 2 * unit
            elif kind < 0.8:
                text, notes, left = f"{text}[CEG]2 ", notes + 3, left - 2 * unit
            elif kind < 0.9:
                text, left = f"{text}z ", left - unit
            else:
                text, notes, left = f"{text}{letter}/{random.choice('ABc')}/ ", notes + 2, left - unit
        return text

    def section() -> str:
        # Keys change between lines alone: within them, abc2midi keeps accidentals beyond the bar.
        form = random.choice(["{}:|\n", "1 {}:|2 {}|]\n", "[1,3 {}:|[2 {}:|[4 {}|]\n", "{}::{}|{}:|\n"])
        return (
            random.choice(["", "K:Dm\n", "K:A mix\n"])
            + f"|:{bar()}|{bar()}|"
            + form.format(*(bar() for _ in range(form.count("{}"))))
        )

    fields = {
        "M": f"{numerator}/{denominator}",
        "L": "1/8",
        "K": random.choice(["D", "Gm", "Ador", "Bb", "D exp ^c _b"]),
    }
    body = section() + f"L:{unit}\n" + section()
    return tune(body, **fields), notes


def test_generated_tunes_are_heard_alike(tmp_path: Path) -> None:
    """Lists of tunes like those of the Nottingham collection: repeats, endings, ties, triplets, fields within lines."""
    tunes, counts = zip(*(generated(Random(f"abc {seed}")) for seed in range(300)), strict=True)
    for text, count, heard in zip(tunes, counts, heard_by_abc2midi(list(tunes), tmp_path), strict=True):
        written = from_abc.read(text)
        assert sum(not sound.tied for _, sounds in written.parts for sound in sounds) == count, text
        assert same(played(written), heard), text


def agreement(step: int, folder: Path) -> dict[str, int]:
    """How many tunes of the collections in music21 both readers read alike, one of `step`."""
    found = {"alike": 0, "other": 0, "refused": 0}
    tunes = [
        text for name in COLLECTIONS for path in sorted((CORPUS / name).glob("*.abc")) for text in notation._tunes(path)
    ]
    read: list[tuple[str, Heard]] = []
    for text in tunes[::step]:
        try:
            read.append((text, played(from_abc.read(text))))
        except Unreadable:
            found["refused"] += 1
    for (_, mine), heard in zip(read, heard_by_abc2midi([text for text, _ in read], folder), strict=True):
        found["alike" if same(mine, heard, lengths=False) else "other"] += 1
    return found


def test_collections_are_heard_alike(tmp_path: Path) -> None:
    """Where the readers differ, most tunes have a field `P:`, or repeats without a sign at their start."""
    found = agreement(60, tmp_path)
    total = sum(found.values())
    assert found["alike"] > 0.95 * total and found["refused"] <= 0.02 * total, found


@pytest.mark.slow
def test_whole_collections_are_heard_alike(tmp_path: Path) -> None:
    found = agreement(1, tmp_path)
    total = sum(found.values())
    assert total > 12_000
    assert found["alike"] > 0.97 * total and found["refused"] <= 0.005 * total, found
