"""Frames: a roll comes back frame by frame, spelled as the grammar allows; transposed it says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.corpora import download, open_corpus
from generator.corpora.archives import FramesCorpus
from generator.foundation.errors import CarouselError
from generator.music.score import Note, PieceEnd, Score, Tempo, Voice
from generator.tokenizers.frames import MOST_FRAMES, FramesTokenizer
from generator.tokenizers.frames_grammar import (
    END,
    FRAME,
    HIGHEST,
    HOLD_LIMIT,
    LOWEST,
    NOT_TRANSPOSED,
    PAUSE,
    TRANSPOSED,
    TRANSPOSITIONS,
    VOCABULARY,
)

TOKENIZER = FramesTokenizer()
PIANO = range(LOWEST, HIGHEST + 1)
Frame = Sequence[int]
frames = st.lists(st.sets(st.sampled_from(PIANO), max_size=6).map(sorted), min_size=1, max_size=50)
few_frames = st.lists(st.sets(st.sampled_from([60, 64, 67]), max_size=3).map(sorted), min_size=1, max_size=90)


def struck(frames: Sequence[Frame], ticks_per_quarter: int = 1) -> Score:
    """Frames as a score, struck anew in each."""
    notes = [Note(start, 1, pitch) for start, frame in enumerate(frames) for pitch in frame]
    return Score.from_events(
        [*notes, PieceEnd(len(frames))], ticks_per_quarter=ticks_per_quarter, voices=(Voice("Piano"),)
    )


def rolled(score: Score) -> list[list[int]]:
    """The pitches that sound in each tick of a score."""
    roll: list[set[int]] = [set() for _ in range(score.piece_ends[-1].start_ticks)]
    for note in score.notes:
        for tick in range(note.start_ticks, note.end_ticks):
            assert note.pitch not in roll[tick], "a pitch sounds once at a time"
            roll[tick].add(note.pitch)
    return [sorted(frame) for frame in roll]


def spelt(*rows: str) -> list[int]:
    return [VOCABULARY.index(row) for row in rows]


@given(frames | few_frames, st.integers(1, 4))
def test_a_roll_comes_back_frame_by_frame(roll: list[list[int]], per_quarter: int) -> None:
    tokenizer = FramesTokenizer(per_quarter)
    score = struck(roll, per_quarter)
    tokens = tokenizer.encode(score)
    assert tokens.dtype == np.uint16
    back = tokenizer.decode(tokens)
    assert rolled(back) == roll
    assert back.piece_ends == (PieceEnd(len(roll)),)
    assert np.array_equal(tokenizer.encode(back), tokens)
    quantised, report = tokenizer.quantise(score)
    assert quantised == back
    assert (report.dropped, report.max_onset_error_quarters) == (0, 0)
    starts = sum(note.start_ticks == 0 or note.pitch not in roll[note.start_ticks - 1] for note in score.notes)
    assert (report.notes, report.joined) == (len(score.notes), len(score.notes) - starts)


def test_the_spelling() -> None:
    tokens = TOKENIZER.encode(struck([[60, 72], [], [60]]))
    rows = ("pitch 72", "pitch 60", "frame-end", "frame-end", "pitch 60", "frame-end")
    assert tokens.tolist() == spelt("transposed 0", *rows, "end")


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_what_the_grammar_allows_is_what_encoding_spells(seed: int) -> None:
    random = np.random.default_rng(seed)
    decoder = TOKENIZER.decoder()
    pieces: list[list[int]] = [[]]
    while len(pieces) <= 3:
        allowed = np.flatnonzero(decoder.allowed())
        # Most frames end soon, so that notes are held and pieces end.
        token = int(random.choice(allowed if random.random() < 0.4 else allowed[:2]))
        decoder.feed(token)
        pieces[-1].append(token)
        if token == END:
            pieces.append([])
    starts = 0
    whole = TOKENIZER.decode(np.concatenate([np.array(piece, dtype=np.uint16) for piece in pieces]))
    for piece, end in zip(pieces, whole.piece_ends, strict=False):
        alone = TOKENIZER.decode(np.array(piece, dtype=np.uint16))
        assert TOKENIZER.encode(alone).tolist() == [NOT_TRANSPOSED, *piece[1:]]
        assert alone.notes == whole.between(starts, end.start_ticks).notes
        starts = end.start_ticks + PAUSE


def test_a_key_sounds_on_while_frames_have_it_but_not_for_ever() -> None:
    back = TOKENIZER.decode(TOKENIZER.encode(struck([[60], [60, 64], [64], [], [64]])))
    assert [(note.start_ticks, note.duration_ticks, note.pitch) for note in back.notes] == [
        *((0, 2, 60), (1, 2, 64), (4, 1, 64))
    ]
    long = TOKENIZER.decode(TOKENIZER.encode(struck([[60]] * (2 * HOLD_LIMIT + 5))))
    assert [note.duration_ticks for note in long.notes] == [HOLD_LIMIT, HOLD_LIMIT, 5]


def test_a_frame_has_what_sounds_in_its_middle() -> None:
    voices = (Voice("Violin", 40), Voice("Drums", 0, drum=True))
    notes = (
        *(Note(0, 50, 72), Note(50, 50, 74)),  # two eighths: the first one is still there in the middle
        *(Note(103, 90, 60), Note(101, 240, 60, voice=1), Note(110, 90, 12)),  # a little late; drums; no key of a piano
        *(Note(200, 100, 60), Note(200, 100, 64)),
    )
    score = Score.from_events(notes, ticks_per_quarter=100, voices=voices)
    back, report = TOKENIZER.quantise(score)
    assert rolled(back) == [[72], [60], [60, 64]]
    assert (report.notes, report.dropped, report.joined) == (4, 3, 1)
    assert report.max_onset_error_quarters == pytest.approx(0.03)


@pytest.mark.parametrize(("asked", "taken"), [(0.5, 1.0), (1000.0, 1000.0), (2000.0, 1000.0), (72.5, 72.5)])
def test_a_tempo_lies_between_1_and_1000(asked: float, taken: float) -> None:
    piece = Score(4, (Voice("Piano"),), (Note(0, 4, 60),), tempos=(Tempo(0, asked),))
    assert FramesTokenizer.fit([piece]).quarters_per_minute == taken


def test_other_tempos_are_changed() -> None:
    piece = Score(2, (Voice("Piano"),), (Note(0, 8, 60),), tempos=(Tempo(0, 120.0),))
    tokenizer = FramesTokenizer.fit([piece])
    asked = Score(2, piece.voices, piece.notes, tempos=(Tempo(0, 120.0), Tempo(2, 60.0), Tempo(4, 90.0)))
    assert tokenizer.quantise(asked)[1].tempos_changed == 2


def test_a_tokenizer_takes_grid_tempo_and_program_from_the_pieces() -> None:
    pieces = [
        Score.from_events([Tempo(0, 72.0), Note(0, 480, 60)], ticks_per_quarter=grid, voices=(Voice("Organ", 19),))
        for grid in (480, 480, 1)
    ]
    tokenizer = FramesTokenizer.fit(pieces)
    assert (tokenizer.ticks_per_quarter, tokenizer.voices) == (4, (Voice("Keyboard", 19),))
    assert FramesTokenizer.fit(pieces[2:]).ticks_per_quarter == 1
    assert tokenizer.decode(tokenizer.encode(pieces[0])).tempos == (Tempo(0, 72.0),)
    with pytest.raises(CarouselError, match="no pieces"):
        FramesTokenizer.fit([])


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (struck([]), "no note"),
        (Score(1, (Voice("Drums", drum=True),), (Note(0, 4, 60),)), "no note"),
        (struck([[60]] * 3, ticks_per_quarter=100), "no note"),
        (Score(1, (Voice("Piano"),), (Note(0, MOST_FRAMES + 1, 60),)), "cut it into pieces"),
        (Score(1, (Voice("Piano"),), (Note(0, 2**50, 60),)), "cut it into pieces"),
    ],
)
def test_what_has_no_frames_is_refused(score: Score, said: str) -> None:
    with pytest.raises(CarouselError, match=said):
        TOKENIZER.encode(score)


@given(frames, st.integers(0, 2**32))
def test_a_variant_is_transposed_within_the_piano_and_says_how_far(roll: list[list[int]], seed: int) -> None:
    tokens = TOKENIZER.encode(struck(roll))
    variant = TOKENIZER.augment(tokens, np.random.default_rng(seed))
    semitones = TRANSPOSITIONS[variant[0] - TRANSPOSED]
    assert rolled(TOKENIZER.decode(variant)) == [[pitch + semitones for pitch in frame] for frame in roll]
    assert variant.max() < len(VOCABULARY) and np.array_equal(TOKENIZER.transposed(variant, -semitones), tokens)


def test_all_transpositions_come_up() -> None:
    random = np.random.default_rng(0)
    for roll, wanted in (([[60]], TRANSPOSITIONS), ([[LOWEST + 1, 60]], range(-1, 7)), ([[], [HIGHEST]], range(-6, 1))):
        tokens = TOKENIZER.encode(struck(roll))
        found = {TRANSPOSITIONS[TOKENIZER.augment(tokens, random)[0] - TRANSPOSED] for _ in range(200)}
        assert found == set(wanted)


def test_the_chorales_are_those_that_others_count(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(mirror))
    corpus = open_corpus("jsb-chorales")
    assert isinstance(corpus, FramesCorpus) and corpus.tokenizer == "frames"
    tokenizer = FramesTokenizer.fit(piece.content for piece in corpus.pieces("train"))  # type: ignore[misc]
    counts = {}
    for split, pieces in corpus.frames().items():
        tokens = [tokenizer.encode(piece.content) for piece in corpus.pieces(split)]
        assert [rolled(tokenizer.decode(piece)) for piece in tokens[::5]] == pieces[::5]
        frames = [int((piece == FRAME).sum()) for piece in tokens]
        counts[split] = len(frames), sum(frames), sum(frames) - len(frames)
    assert counts["test"] == (77, 4_725, 4_648)
    assert counts["train"][:2] == (229, 13_807) and counts["validation"][:2] == (76, 4_602)
