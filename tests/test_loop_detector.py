"""What a detector hears: loops and silence, of notes and of characters, alike in any pieces."""

from __future__ import annotations

import copy
import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.streaming.governor import TOO_NEAR
from generator.streaming.jobs import CHUNK
from generator.tokenizers import loop_cycles
from generator.tokenizers.loop_cycles import LONGEST_CYCLE, SHORTEST_LOOP_CHARACTERS, STARTS, nearness_bound
from generator.tokenizers.loop_detector import LoopDetector


def test_slow_music_is_no_silence() -> None:
    detector = LoopDetector()
    for now in range(0, 60_000, 1_700):
        detector.add_note(now, 60 + (now // 1_700) ** 2 % 23)
        assert detector.nearness(now + 1_600) < 0.4
    assert detector.nearness(60_000 + 3_000) > 0.4


NOTES = st.lists(st.tuples(st.integers(0, 300), st.integers(60, 62)), max_size=60)


@given(before=NOTES, after=NOTES)
@settings(max_examples=30)
def test_what_was_heard_is_a_value(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    one, now = LoopDetector(), 0
    for gap, pitch in 20 * before[:8] + before:
        one.add_note(now := now + gap, pitch)
    two, three = one.copy(), LoopDetector.from_state(one.state())
    here = one.state()
    for gap, pitch in 3 * after:
        now += gap
        two.add_note(now, pitch)
        three.add_note(now, pitch)
        assert two.nearness(now) == three.nearness(now)
    assert one.state() == here
    assert two.state() == three.state()


def test_counts_below_zero_are_no_state() -> None:
    one = LoopDetector()
    for step in range(1, 60):
        one.add_note(100 * step, 60 + step % 3)
    for place in (0, 1):
        state = copy.deepcopy(one.state())
        assert LoopDetector.from_state(state).state() == one.state()
        state["moments"][-1][place] = -1
        with pytest.raises(ValueError, match="no whole number from 0"):
            LoopDetector.from_state(state)


def test_a_text_that_says_itself_again_and_again() -> None:
    """Six times and for 300 characters, as the shorter of both asks."""
    cycle = [*b"the quick brown fox jumps over the lazy dog, and then "]
    detector, nearness = LoopDetector(), []
    for character in [*range(1000, 1500), *8 * cycle]:
        detector.add_characters([character], 0)
        nearness.append(detector.nearness())
    assert max(nearness[:600]) < 0.4
    assert next(index for index, near in enumerate(nearness) if near >= 1) in range(500 + 6 * 54 - 2, 500 + 6 * 54 + 2)
    for character in range(1000):
        detector.add_characters([character], 0)
    assert detector.nearness() == 0


def one_by_one(detector: LoopDetector, text: list[int], position: int, after: int, until: float) -> tuple[int, float]:
    """As `add_characters`, with each character compared as it comes, and the nearness asked at every second one; and
    the largest nearness on the way."""
    nearest = 0.0
    for index, character in enumerate(text, start=1):
        loop_cycles.add_moment(detector._memory, detector._memory[STARTS, 0] + 1, character, 0)
        nearness = loop_cycles.nearness(detector._memory, SHORTEST_LOOP_CHARACTERS)
        nearest = max(nearest, nearness)
        if (position + index) % 2 == 0 and position + index > after and nearness >= until:
            return index, nearest
    return len(text), nearest


@pytest.mark.parametrize("seed", range(5))
def test_a_text_is_heard_alike_in_any_pieces(seed: int) -> None:
    random, one, many, position, stops = Random(seed), LoopDetector(), LoopDetector(), 0, 0
    text = [random.randrange(3) for _ in range(300)]
    while len(text) < 6000:
        cycle = random.choice([1, 2, 7, 40, 54, 100, LONGEST_CYCLE - 1, LONGEST_CYCLE])
        for _ in range(random.randint(1, 8 * cycle)):
            text.append(random.randrange(60) if random.random() < 0.02 else text[-cycle])
    while position < len(text):
        until = random.choice([0.0, 0.4, 0.4, math.inf])
        piece = text[position : position + random.choice([0, 1, 5, 64, 64, LONGEST_CYCLE, LONGEST_CYCLE + 1, 300])]
        bound = nearness_bound(many._memory, len(piece))
        read = many.add_characters(piece, position, 2, 500, until)
        alone, nearest = one_by_one(one, piece, position, 500, until)
        assert read == alone
        assert nearest <= bound < math.inf
        assert many.state() == one.state()
        many = LoopDetector.from_state(many.state())
        stops += read < len(piece)
        position += read
    assert stops


def test_a_job_of_common_text_cannot_need_the_governor() -> None:
    """Else it would be read one by one, which takes six times as long."""
    random, detector = Random(0), LoopDetector()
    for _ in range(40):
        assert nearness_bound(detector._memory, CHUNK) < TOO_NEAR
        detector.add_characters([min(int(random.expovariate(0.06)), 60) for _ in range(CHUNK)], 0)


@pytest.mark.parametrize("until", [0.4, math.inf])
def test_a_memory_that_no_text_leaves_is_heard_alike_in_any_pieces(until: float) -> None:
    """Moments of music, in a detector that reads then: of their times nothing may be taken for granted."""
    one = LoopDetector()
    for now in range(0, 90_000, 300):
        one.add_note(now, 60 + now // 300 % 4)
    text = [int(shape) for _, shape in reversed(one.state()["moments"])][-200:]
    many = one.copy()
    read = many.add_characters(text, 0, 2, 0, until)
    assert read == one_by_one(one, text, 0, 0, until)[0] == (2 if until == 0.4 else 200)
    assert many.state() == one.state()
