"""An onset that is brought forward: which notes end for it, where it comes, and when there is none."""

from __future__ import annotations

import pytest

from generator.foundation.options import SamplingOptions
from generator.music.score import Note, Score, TimeSignature, Voice
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import NOTE_ON, TIME_SHIFT
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import DURATION
from generator.tokenizers.sooner import longest_ticks, shorter_wait, sooner

VOICES = Voice("High"), Voice("Low")


def score(*notes: tuple[int, int, int, int]) -> Score:
    """Notes of (start, length, pitch, voice), in ticks of a twelfth of a quarter, in bars of 4/4."""
    found = tuple(Note(start, length, pitch, voice=voice) for start, length, pitch, voice in sorted(notes))
    return Score(12, VOICES, found, (TimeSignature(0, 4, 4),))


LENGTHS = score(*((96 * at, length, 72, 0) for at, length in enumerate((3, 6, 9, 12, 18, 24, 30, 36, 42, 48))))
STEPS = score(*((3 * at, 3, 60, 1) for at in range(64)))
HELD = score((0, 24, 72, 0), (0, 48, 60, 1), (24, 24, 74, 0))


@pytest.mark.parametrize(
    ("piece", "kept", "ticks", "notes"),
    [
        (HELD, 2, range(10, 16), [(0, 12, 72), (0, 48, 60)]),  # the one that would end first ends on the beat
        (HELD, 2, range(5, 8), [(0, 6, 72), (0, 48, 60)]),  # or on an eighth
        (HELD, 2, range(8, 11), [(0, 9, 72), (0, 48, 60)]),  # or on a sixteenth
        (HELD, 2, range(10, 12), None),  # and nowhere else
        (score((0, 24, 72, 0), (0, 24, 60, 1)), 2, range(10, 16), [(0, 12, 72), (0, 12, 60)]),  # both end first
        (score((0, 12, 72, 0), (36, 12, 72, 0)), 1, range(15, 20), [(0, 12, 72)]),  # nothing sounds
        (score((36, 36, 72, 0), (36, 42, 60, 1)), 2, range(46, 50), [(36, 12, 72), (36, 42, 60)]),  # at the bar line
        (score((36, 36, 72, 0), (36, 42, 60, 1)), 2, range(50, 55), None),  # no bar line comes into the past
    ],
)
def test_an_onset_is_brought_forward(
    piece: Score, kept: int, ticks: range, notes: list[tuple[int, int, int]] | None
) -> None:
    """Of `piece` the first `kept` notes are there, and the next onset is to come at one of `ticks`."""
    tokenizer = ScoreTokenizer.fit([piece, LENGTHS, STEPS])
    tokens = tokenizer.encode(piece).tolist()
    durations = [at for at, token in enumerate(tokens) if tokenizer.table.kinds[token] == DURATION]
    tokens = tokens[: durations[kept - 1] + 1]
    found = sooner(tokenizer, tokenizer.decoder().state(), tokens, ticks, SamplingOptions())
    if notes is None:
        assert found is None
        return
    assert found is not None
    decoder, changed = tokenizer.decoder(), found[0]
    events = decoder.feed_all([*tokens[: len(tokens) - changed], *found[1]])
    ends = [(e.start_ticks, e.duration_ticks, e.pitch) for e in events if isinstance(e, Note)]
    assert sorted(ends) == sorted(notes) and decoder.now_ticks in ticks
    assert decoder.allowed().any() and longest_ticks(tokenizer) == 48


def test_between_pieces_there_is_none() -> None:
    tokenizer = ScoreTokenizer.fit([HELD, LENGTHS, STEPS])
    tokens = tokenizer.encode(HELD).tolist()
    assert sooner(tokenizer, tokenizer.decoder().state(), tokens, range(48, 60), SamplingOptions()) is None


def test_limits_hold_at_the_onset() -> None:
    """Two notes began at once: within a second of them, three may."""
    chord = score((0, 24, 72, 0), (0, 24, 60, 1))
    tokenizer = ScoreTokenizer.fit([chord, LENGTHS, STEPS])
    tokens = tokenizer.encode(chord)[:-1].tolist()
    for density, found in ((3, True), (2, False), (1, False)):
        options = SamplingOptions(density=density)
        assert (sooner(tokenizer, tokenizer.decoder().state(), tokens, range(6, 16), options) is not None) is found


def test_a_wait_ends_sooner() -> None:
    tokenizer = PerformanceTokenizer()
    wait = tokenizer.table.spans[TIME_SHIFT].start + 29  # 30 ticks
    assert shorter_wait(tokenizer, wait, 10) == (0, [wait - 10])
    assert shorter_wait(tokenizer, wait, 29) == (0, [wait - 29])
    for token, ticks in ((wait, 0), (wait, 30), (tokenizer.end, 1), (tokenizer.table.spans[NOTE_ON].start, 1)):
        assert shorter_wait(tokenizer, token, ticks) is None
