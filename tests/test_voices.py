"""Voices that share a name stay apart, from the file to the tokens and back: no note is lost because of a name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.music import files, midi
from generator.music.score import Note, Score, TimeSignature, Voice
from generator.music.voices import distinct
from generator.streaming.engine import Model, load
from generator.streaming.melody import of_score
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import Part
from generator.tokenizers.score_voices import assigned
from tests.conftest import ROOT, random_checkpoint


def named(*names: str, program: int = 19, quarters: int = 16) -> Score:
    """As many voices, each with a quarter at every beat, the first one on top."""
    notes = [
        Note(480 * beat, 480, 76 - 7 * voice + beat % 5, voice=voice)
        for beat in range(quarters)
        for voice in range(len(names))
    ]
    voices = tuple(Voice(name, program) for name in names)
    return Score.from_events([*notes, TimeSignature(0, 4, 4)], ticks_per_quarter=480, voices=voices)


def sounds(score: Score, quarter: int = 480) -> Counter[tuple[float, float, int]]:
    return Counter((note.start_ticks / quarter, note.duration_ticks / quarter, note.pitch) for note in score.notes)


@pytest.mark.parametrize(
    ("names", "apart"),
    [
        (["Violin", "Viola"], ["Violin", "Viola"]),
        (["Voice"] * 3, ["Voice", "Voice 2", "Voice 3"]),
        (["Violin", "violin"], ["Violin", "violin 2"]),
        (["A", "A", "A 2", "A"], ["A", "A 3", "A 2", "A 4"]),
        (["", "x", ""], ["", "x", "2"]),
        ([], []),
    ],
)
def test_equal_names_are_told_apart_and_others_stay(names: list[str], apart: list[str]) -> None:
    assert distinct(names) == apart


@pytest.mark.parametrize(
    "pieces",
    [
        [named("Voice", "Voice", "Voice", "Voice")],
        [named("", "", "")],
        [named("Violin", "Violin", "Viola", "Cello")],
        [named("Voice", "Voice"), named("Voice", "Voice", "Voice"), named("Voice")],
        [named("Violin", "Violin", "Viola"), named("Violin", "Viola"), named("Fiddle", "Violin", "Violin")],
        [named("Violin", "violin"), named("VIOLIN")],
    ],
    ids=["all alike", "empty", "one twice", "more or fewer", "other names", "capitals"],
)
def test_no_note_is_lost_where_voices_share_a_name(pieces: Sequence[Score]) -> None:
    tokenizer = ScoreTokenizer.fit(pieces)
    assert len({part.name.lower() for part in tokenizer.table.parts}) == len(tokenizer.table.parts)
    for piece in pieces:
        grid, report = tokenizer.quantise(piece)
        assert (report.notes, report.dropped, report.cut) == (len(piece.notes), 0, 0)
        back = tokenizer.decode(tokenizer.encode(piece))
        assert sounds(back, 12) == sounds(grid, 12) == sounds(piece)
        assert len({note.voice for note in back.notes}) == len(piece.voices)
        assert tokenizer.encode(back).tolist() == tokenizer.encode(piece).tolist()


def test_the_nth_voice_of_a_name_is_the_nth_part_of_it() -> None:
    tokenizer = ScoreTokenizer.fit([named("Violin", "Viola", "Violin", "Violin")])
    assert [part.name for part in tokenizer.table.parts] == ["Violin", "Viola", "Violin 2", "Violin 3"]
    first = [note for note in tokenizer.quantise(named("Viola", "Violin", "Violin"))[0].notes if note.start_ticks == 0]
    assert {note.pitch: note.voice for note in first} == {76: 1, 69: 0, 62: 2}


def test_a_part_that_is_silent_in_every_piece_takes_nothing() -> None:
    silent = named("Voice", "Voice", "Voice")
    silent = replace(silent, notes=tuple(note for note in silent.notes if note.voice))
    tokenizer = ScoreTokenizer.fit([silent])
    assert len(tokenizer.table.parts) == 2
    assert sounds(tokenizer.decode(tokenizer.encode(silent)), 12) == sounds(silent)


def test_a_voice_without_a_part_plays_with_the_nearest_and_what_clashes_is_counted() -> None:
    tokenizer = ScoreTokenizer.fit([named("Voice", "Voice")])
    _, report = tokenizer.quantise(named("Voice", "Voice", "Voice"))
    assert (report.notes, report.dropped) == (32, 16)


def test_voices_of_one_program_have_parts_of_their_own_beside_other_programs() -> None:
    pieces = [band(GUITAR, GUITAR, BASS, KIT), band(KIT, BASS, GUITAR, Voice("Solo", 27)), band(GUITAR, KIT, KIT)]
    tokenizer = ScoreTokenizer.fit(pieces)
    assert Counter((part.program, part.drum) for part in tokenizer.table.parts) == {
        (27, False): 2,
        (33, False): 1,
        (0, True): 1,
    }
    for piece in pieces:
        grid, report = tokenizer.quantise(piece)
        assert report.dropped == 0
        programs = Counter((tokenizer.voices[note.voice].program, note.pitch) for note in grid.notes)
        assert programs == Counter((piece.voices[note.voice].program, note.pitch) for note in piece.notes)


@pytest.mark.parametrize(
    ("names", "digest"),
    [
        (("Soprano", "Alto", "Tenor", "Bass"), "217b203e87349270"),
        (("bass", "TENOR", "alto", "soprano"), "4bb01d72bfbb3237"),
        (("1", "2", "3", "4"), "217b203e87349270"),
        (("Bass", "Flute", "Alto", "x"), "11664f581dab29d8"),
    ],
)
def test_chorales_whose_voices_have_names_of_their_own_are_written_as_ever(
    names: Sequence[str], digest: str, chorales: list[Score]
) -> None:
    """The shipped tokens of forty chorales, as before equal names were told apart: by name, else by register."""
    tokenizer = load(ROOT / "checkpoints" / "bach").tokenizer
    found = hashlib.sha256()
    voices = tuple(Voice(name) for name in names)
    for chorale in chorales:
        found.update(tokenizer.encode(replace(chorale, voices=voices)).tobytes())
    assert found.hexdigest()[:16] == digest


def band(*voices: Voice) -> Score:
    return replace(named(*(voice.name for voice in voices)), voices=voices)


GUITAR, BASS, KIT = Voice("Guitar", 27), Voice("Bass", 33), Voice("Kit", 0, True)


def part(voice: Voice, low: int, chords: bool = False) -> Part:
    return Part(voice.name, voice.program, voice.drum, not chords and not voice.drum, low, low + 12)


@pytest.mark.parametrize(
    ("parts", "voices", "found"),
    [
        ([part(BASS, 30), part(GUITAR, 60)], [GUITAR, BASS], [1, 0]),
        ([part(BASS, 30), part(GUITAR, 60)], [Voice("Lead", 27), Voice("Low", 33)], [1, 0]),
        ([part(BASS, 30), part(GUITAR, 60, True)], [Voice("Lead", 27), Voice("Rhythm", 27)], [1, 1]),
        ([part(BASS, 30), part(GUITAR, 60)], [Voice("Lead", 27), Voice("Rhythm", 27)], [1, 0]),
        ([part(GUITAR, 30), part(BASS, 60)], [Voice("a"), Voice("b"), Voice("c")], [0, 1, 1]),
        ([part(GUITAR, 60)], [Voice("Kit", 0, True), Voice("a")], [None, 0]),
        ([part(KIT, 60)], [Voice("Drums", 8, True), Voice("Claps", 0, True), Voice("Kit")], [0, 0, None]),
        ([part(KIT, 60), part(Voice("Keys"), 60)], [Voice("Drums", 0, True), Voice("Kit")], [0, 1]),
    ],
)
def test_who_plays_what(parts: Sequence[Part], voices: Sequence[Voice], found: list[int | None]) -> None:
    assert assigned(parts, band(*voices)) == found


def test_a_silent_voice_takes_no_part_away() -> None:
    piece = band(Voice("Lead", 27), Voice("Rhythm", 27))
    silent = replace(piece, notes=tuple(note for note in piece.notes if note.voice))
    parts = [part(BASS, 30), part(GUITAR, 60)]
    assert assigned(parts, piece) == [1, 0] and assigned(parts, silent) == [0, 1]


def kern(pieces: Path, number: int) -> None:
    spine = "\t".join
    rows = [spine([text] * 4) for text in ("**kern", "*Ivox", "*M4/4")]
    names = ("{}BB", "{}G", "{}d", "{}b")
    for bar in range(1, 5):
        rows.append(spine([f"={bar}"] * 4))
        rows += [spine(name.format(4) for name in names) for _ in range(4)]
    (pieces / f"{number:02}.krn").write_text("\n".join([f"!!!OTL: Chorale {number}", *rows, spine(["*-"] * 4), ""]))


def test_chorales_in_humdrum_whose_voices_are_named_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "chorales"
    folder.mkdir()
    for number in range(12):
        kern(folder, number)
    [piece] = files.read(folder / "00.krn")
    assert len({voice.name for voice in piece.voices}) == 1 and len(piece.notes) == 64
    dataset = prepare(open_corpus(folder), progress=False)
    assert dataset.report["notes"] == 12 * 64


def test_midi_files_whose_tracks_are_named_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(12):
        piece = replace(named("Voice", "Voice", "Voice", "Voice", quarters=64), title=str(number))
        midi.write(piece, folder / f"{number:02}.mid")
    assert [track.name for track in mido.MidiFile(folder / "00.mid").tracks[1:]] == ["Voice"] * 4
    dataset = prepare(open_corpus(folder), progress=False)
    assert dataset.report["notes"] == 12 * 4 * 64
    # A primer goes the same way, and what is written of it has four voices again.
    model = Model(random_checkpoint(dataset.tokenizer))
    past = model.stream(files.read(folder / "00.mid")[0]).history()
    assert sounds(past, 12) == sounds(named("Voice", "Voice", "Voice", "Voice", quarters=64))
    midi.write(past, tmp_path / "past.mid")
    assert [voice.name for voice in midi.read(tmp_path / "past.mid").voices] == [
        "Voice",
        "Voice 2",
        "Voice 3",
        "Voice 4",
    ]


def test_a_melody_is_of_the_voice_that_is_asked_for() -> None:
    tokenizer = ScoreTokenizer.fit([named("Voice", "Voice")])
    text = of_score(named("Voice", "Voice"), tokenizer.table, "Voice 2")
    assert text.startswith("Voice 2; ") and " 0:12:69 " in text


def test_a_phrase_of_two_voices_of_one_name_is_heard_as_two() -> None:
    stream = Model(random_checkpoint(ScoreTokenizer.fit([named("Voice", "Voice")]))).stream(seed=1)
    stream.listen(named("Voice", "Voice", quarters=4))
    assert Counter(event.voice for event in stream.past() if isinstance(event, Note)) == {0: 4, 1: 4}
