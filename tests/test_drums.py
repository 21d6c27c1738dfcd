"""Drums: every hit comes back at its tick and in its class of loudness; what the grammar allows is music."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.corpora import download, entries, folder, open_corpus
from generator.corpora.base import Piece
from generator.corpora.groove import GrooveCorpus
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import sentences
from generator.music import midi
from generator.music.names import drum_name
from generator.music.score import Note, Pedal, PieceEnd, Score, Tempo, TimeSignature, Voice
from generator.streaming.engine import Model
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.drums_grammar import OFFSETS, STEP_TICKS, TICKS_PER_QUARTER, VELOCITIES
from tests.conftest import a_beat, four_voices, tiny

TOKENIZER = DrumsTokenizer.fit([a_beat(), replace(a_beat(), time_signatures=(TimeSignature(0, 3, 4),))])
ROWS = TOKENIZER.table.rows
HEADER = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split\n"


@pytest.fixture(scope="module")
def groove(mirror: Path) -> list[Piece]:
    """One in thirty performances of the dataset."""
    entry = entries()["groove-drums"]
    corpus = open_corpus("groove-drums")
    assert isinstance(corpus, GrooveCorpus)
    rows = corpus._rows()[::30]
    corpus._rows = lambda: rows  # type: ignore[method-assign]
    pieces = [piece for _, piece in corpus.read()]
    assert len(pieces) > 25 and {int(key) for key in entry["keys"]} == {22, 26, 58}
    return pieces


def kit(*notes: Note, **fields: Any) -> Score:
    return Score(480, (Voice("Kit", 0, drum=True),), notes, **fields)


def test_the_spelling() -> None:
    early, together, soft = Note(1910, 4, 36, 100), Note(1910, 4, 42, 60), Note(2045, 4, 38, 9)
    tokens = TOKENIZER.encode(kit(early, together, soft))
    said = [ROWS[token] for token in tokens]
    assert said == [
        *("time-signature 4/4", "tempo 120", "bar", "bar", "position 0", "offset -2", "drum 36", "velocity 100"),
        *("offset -2", "drum 42", "velocity 60", "position 1", "offset 1", "drum 38", "velocity 12", "end"),
    ]
    back = TOKENIZER.decode(tokens)
    assert back.notes[0] == Note(382, 1, 42, 60) and back.notes[2] == Note(409, 1, 38, 12)
    assert [bar.start_ticks for bar in back.bars] == [0, 384] and back.piece_ends == (PieceEnd(768),)
    assert back.tempos == (Tempo(0, 120.0),) and back.time_signatures == (TimeSignature(0, 4, 4),)


def test_real_drums_come_back_to_other_readers(groove: list[Piece], tmp_path: Path) -> None:
    tokenizer = DrumsTokenizer.fit([piece.content for piece in groove if isinstance(piece.content, Score)])
    errors: list[float] = []
    for piece in groove:
        score = piece.content
        assert isinstance(score, Score)
        grid, report = tokenizer.quantise(score)
        assert report.notes + report.merged == len(score.notes) and report.merged <= 0.005 * len(score.notes)
        assert report.max_velocity_error <= 4
        midi.write(grid, tmp_path / "a.mid")
        tempo = grid.tempos[0].quarters_per_minute
        kept = {(note.start_ticks, note.pitch): note.velocity for note in grid.notes}
        for note in score.notes:
            exact = note.start_ticks * TICKS_PER_QUARTER / score.ticks_per_quarter
            velocity = kept[round(exact), note.pitch]
            errors.append(abs(round(exact) - exact) * 60_000 / TICKS_PER_QUARTER / tempo)
            assert errors[-1] <= report.max_onset_error_ms + 1e-4
            assert velocity >= note.velocity - 4, "of hits at one tick the loudest is kept"
        assert heard_by_mido(tmp_path / "a.mid") == kept
        (drums,) = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
        assert drums.is_drum
        starts = sorted(note.start for note in drums.notes)
        clock = grid.clock()
        np.testing.assert_allclose(starts, [clock.seconds(note.start_ticks) for note in grid.notes], atol=1e-3)
    assert len(errors) > 5000 and median(errors) < 2


def heard_by_mido(path: Path) -> dict[tuple[int, int], int]:
    """The velocity of each (tick of the tokenizer, drum) in a file, all of them on channel 10."""
    file = mido.MidiFile(path)
    found = {}
    for track in file.tracks:
        ticks = 0
        for message in track:
            ticks += message.time
            if message.type == "note_on" and message.velocity:
                assert message.channel == 9
                found[ticks * TICKS_PER_QUARTER // file.ticks_per_beat, message.note] = message.velocity
    return found


def test_the_splits_and_styles_are_those_of_the_table(groove: list[Piece]) -> None:
    styles = {piece.name: piece.content.style for piece in groove if isinstance(piece.content, Score)}
    for name, style in styles.items():
        primary = re.split("[-_]", Path(name).name.partition("_")[2])[0]
        assert style == primary + (" fill" if "_fill_" in name else "")
    assert {"rock", "rock fill"} <= set(styles.values())


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_what_the_grammar_allows_is_what_encoding_spells(seed: int) -> None:
    random, decoder = np.random.default_rng(seed), TOKENIZER.decoder()
    tokens: list[int] = []
    ends = [0]
    while len(ends) < 4:
        allowed = np.flatnonzero(decoder.allowed())
        likely = allowed[-6:] if random.random() < 0.5 else allowed[:2]
        tokens.append(int(random.choice(allowed if random.random() < 0.5 else likely)))
        before = decoder.horizon_ticks
        for event in decoder.feed(tokens[-1]):
            assert event.start_ticks >= before or not isinstance(event, Note)  # type: ignore[union-attr]
        assert decoder.horizon_ticks >= before
        if ROWS[tokens[-1]] == "end":
            ends.append(len(tokens))
    whole, start = TOKENIZER.decode(np.array(tokens, np.uint16)), 0
    assert len({(note.start_ticks, note.pitch) for note in whole.notes}) == len(whole.notes)
    for (first, past), end in zip(pairwise(ends), whole.piece_ends, strict=True):
        piece = np.array(tokens[first:past], np.uint16)
        alone = TOKENIZER.decode(piece)
        assert TOKENIZER.encode(alone).tolist() == piece.tolist()
        moved = [replace(note, start_ticks=note.start_ticks + start) for note in alone.notes]
        assert moved == [note for note in whole.notes if start <= note.start_ticks < end.start_ticks]
        clock, at = whole.clock(), alone.clock()
        if alone.notes:
            expected = clock.seconds(start) + at.seconds(alone.notes[-1].start_ticks)
            assert clock.seconds(moved[-1].start_ticks) == pytest.approx(expected)
        start = end.start_ticks


def test_no_time_is_before_the_piece() -> None:
    decoder = TOKENIZER.decoder()
    state = decoder.state()
    assert TOKENIZER.decoder(state).state() == state
    with pytest.raises(ValueError, match="contradicts"):
        TOKENIZER.decoder({**state, "memory": {**state["memory"], "piece_clock": -1}})


def test_the_clock_of_a_decoder_is_that_of_its_score() -> None:
    decoder, score = TOKENIZER.decoder(), TOKENIZER.quantise(a_beat())[0]
    for token in TOKENIZER.encode(a_beat()).tolist():
        decoder.feed(token)
        assert decoder.now_ms == int(1000 * score.clock().seconds(decoder.now_ticks) + 1e-6)


def test_what_is_left_out_is_told() -> None:
    voices = (Voice("Kit", 0, drum=True), Voice("Bass", 33), Voice("Other kit", 8, drum=True))
    notes = (
        *(Note(0, 4, 36, 100), Note(1, 4, 36, 20), Note(0, 4, 99, 100), Note(0, 480, 40, voice=1)),
        Note(480, 4, 38, voice=2),
    )
    tempos, metres = (Tempo(0, 90.0), Tempo(480, 120.4)), (TimeSignature(0, 3, 4), TimeSignature(1440, 5, 4))
    score = Score(480, voices, notes, metres, tempos, (Pedal(0, True),))
    grid, report = TOKENIZER.quantise(score)
    assert [(note.pitch, note.velocity) for note in grid.notes] == [(36, 100), (38, 76)]
    counts = (report.pitched, report.unknown, report.merged, report.kits_joined, report.pedals_dropped)
    assert counts == (1, 1, 1, 1, 1) and report.dropped == 3
    assert (report.tempos_changed, report.metres_changed) == (2, 1), "the vocabulary has one tempo alone"
    text = " ".join(map(str, sentences(report)))
    assert "one drum kit" in text and "not in the vocabulary" in text and "hold for a whole piece" in text
    for nothing in (four_voices(1), kit(Note(0, 4, 99))):
        with pytest.raises(CarouselError, match="no drum of this vocabulary; give a piece with drums"):
            TOKENIZER.encode(nothing)
    with pytest.raises(CarouselError, match="no drums to learn a vocabulary from"):
        DrumsTokenizer.fit([four_voices(1)])


def test_training_changes_the_tempo_and_nothing_else() -> None:
    tokenizer = DrumsTokenizer.fit([a_beat(), replace(a_beat(), tempos=(Tempo(0, 100.0),))])
    tokens, random = tokenizer.encode(replace(a_beat(), tempos=(Tempo(0, 118.0),))), np.random.default_rng(1)
    found = [tokenizer.augment(tokens, random) for _ in range(60)]
    changed = np.flatnonzero((np.stack(found) != tokens).any(0))
    assert changed.tolist() == [1]
    known = tiny("drums").tokenizer
    tokens = known.encode(replace(a_beat(), style="funk", tempos=(Tempo(0, 90.0),)))
    plain = known.encode(a_beat())[2:].tolist()
    variants = [known.augment(tokens, random).tolist() for _ in range(30)]
    assert {tuple(variant[3:]) for variant in variants if variant[0] == tokens[0]} == {tuple(tokens[3:].tolist())}
    assert [variant[2:] == plain for variant in variants if variant[0] != tokens[0]].count(True) > 1


BROKEN = {
    "nothing": lambda rows: [],
    "another kind": lambda rows: [*rows, "pedal 1"],
    "no drums": lambda rows: [row for row in rows if not row.startswith("drum")],
    "an unordered kind": lambda rows: [*rows[1:], rows[0]],
    "drums that fall": lambda rows: [row.replace("drum 36", "drum 90") for row in rows],
    "a drum above all keys": lambda rows: [row.replace("drum 42", "drum 128") for row in rows],
    "a metre that no bar of sixteenths has": lambda rows: [row.replace("3/4", "3/32") for row in rows],
    "a metre without beats": lambda rows: [row.replace("3/4", "0/4") for row in rows],
    "a metre twice": lambda rows: [row.replace("3/4", "4/4") for row in rows],
    "a position less": lambda rows: [row for row in rows if row != "position 15"],
    "an offset less": lambda rows: [row for row in rows if row != "offset 11"],
    "another loudness": lambda rows: [row.replace("velocity 12", "velocity 13") for row in rows],
    "a tempo of nothing": lambda rows: [row.replace("tempo 120", "tempo 0") for row in rows],
    "two equal styles": lambda rows: [*rows, "style funk", "style funk"],
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_vocabulary_is_refused(what: str) -> None:
    with pytest.raises(CarouselError):
        DrumsTokenizer.from_json({"kind": "drums", "vocabulary": BROKEN[what](list(ROWS))})
    assert DrumsTokenizer.from_json(TOKENIZER.to_json()).to_json() == TOKENIZER.to_json()


def test_the_classes_cover_everything() -> None:
    assert range(-STEP_TICKS // 2, STEP_TICKS // 2) == OFFSETS
    assert all(min(abs(velocity - known) for known in VELOCITIES) <= 4 for velocity in range(1, 128))
    assert (drum_name(36), drum_name(42), drum_name(81), drum_name(22)) == (
        *("bass drum", "closed hi-hat", "open triangle"),
        "drum 22",
    )


# Streams


def test_a_stream_keeps_its_style_tempo_and_metre() -> None:
    model = Model(tiny("drums"))
    score = model.tokenizer.collect(model.stream(seed=2, style="funk", tempo=101, metre="3/4").pull(900))
    assert {tempo.quarters_per_minute for tempo in score.tempos} == {101.0}
    assert {(metre.numerator, metre.denominator) for metre in score.time_signatures} == {(3, 4)}
    tokens = model.stream(seed=2, style="funk")
    tokens.pull(1)
    assert model.tokenizer.to_json()["vocabulary"][tokens.tokens()[0]] == "style funk"
    for options, words in (
        ({"style": "rock"}, "this checkpoint knows funk"),
        ({"metre": "7/8"}, "this checkpoint knows 4/4, 3/4"),
        ({"key": "C major"}, "is not for a checkpoint of kind drums, which supports style, metre, tempo"),
    ):
        with pytest.raises(CarouselError, match=words):
            model.stream(**options)


def test_a_stream_goes_back_by_bars_and_hears_nobody() -> None:
    stream = Model(tiny("drums")).stream(a_beat(), seed=4, at_end="never")
    stream.pull(400)
    bars = stream.history().bars  # type: ignore[union-attr]
    stream.rewind(bars=1)
    assert stream.history().bars == bars[:-1]  # type: ignore[union-attr]
    with pytest.raises(CarouselError, match="no phrase can be spliced into drums"):
        stream.listen(a_beat())


# The corpus


def dataset(path: Path, *rows: str) -> GrooveCorpus:
    path.mkdir(exist_ok=True)
    (path / "info.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    midi.write(kit(Note(0, 4, 22, 70), Note(480, 4, 38, 90)), path / "a.mid")
    facts = open_corpus(path / "a.mid").facts
    return GrooveCorpus(facts, path, {22: 42})


def test_the_table_says_split_and_style(tmp_path: Path) -> None:
    row = "d,s,i,funk/groove1,120,{},4-4,{},a.wav,1.0,{}".format
    corpus = dataset(tmp_path, row("beat", "a.mid", "test"), row("fill", "gone.mid", "train"))
    ((split, piece),) = corpus.read()
    assert split == "test" and isinstance(piece.content, Score) and piece.content.style == "funk"
    assert [note.pitch for note in piece.content.notes] == [42, 38]
    assert [(name, reason[:14]) for name, reason in corpus.skipped] == [("gone.mid", "cannot be read")]
    again = dataset(tmp_path, row("fill", "a.mid", "validation"))
    assert [(split, piece.content.style) for split, piece in again.read()] == [("validation", "funk fill")]  # type: ignore[union-attr]
    assert again.fingerprint() != corpus.fingerprint() or corpus._rows() == again._rows()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", HEADER + "d,s,i,funk,1,beat,4-4,a.mid,a.wav,1,elsewhere\n", "\x00"])
def test_a_broken_table_is_told(tmp_path: Path, text: str) -> None:
    corpus = dataset(tmp_path)
    (tmp_path / "info.csv").write_text(text)
    if text in ("", "\x00"):
        (tmp_path / "info.csv").unlink()
    with pytest.raises(CarouselError, match=r"info\.csv: not the table of the Groove MIDI Dataset"):
        list(corpus.read())


def test_without_the_dataset_one_line_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(tmp_path))
    with pytest.raises(CarouselError, match=r"groove-drums: fetch https://magenta.*into a folder called groove"):
        open_corpus("groove-drums")


def test_files_that_are_all_drums_choose_it(tmp_path: Path, mirror: Path) -> None:
    files = sorted((mirror / "groove").rglob("*.mid"))[::100]
    assert folder.suited_tokenizer(files) == ("drums", "all notes are for drums")
    dataset(tmp_path)
    assert open_corpus(tmp_path).tokenizer == "drums"
    midi.write(four_voices(1), tmp_path / "b.mid")
    assert open_corpus(tmp_path).tokenizer == "score"
