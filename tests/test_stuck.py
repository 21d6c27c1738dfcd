"""What a watch hears: loops and silence, of notes and of characters, alike in any pieces."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.streaming.batch import CHUNK
from generator.streaming.governor import TOO_NEAR
from generator.streaming.stuck import LONGEST_CYCLE, PATIENCE, STARTS, Watch, _bound, _nearness, _turn


def test_slow_music_is_no_silence() -> None:
    watch = Watch()
    for now in range(0, 60_000, 1_700):
        watch.hear(now, 60 + (now // 1_700) ** 2 % 23)
        assert watch.nearness(now + 1_600) < 0.4
    assert watch.nearness(60_000 + 3_000) > 0.4


NOTES = st.lists(st.tuples(st.integers(0, 300), st.integers(60, 62)), max_size=60)


@given(before=NOTES, after=NOTES)
@settings(max_examples=30)
def test_what_was_heard_is_a_value(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    one, now = Watch(), 0
    for gap, pitch in 20 * before[:8] + before:
        one.hear(now := now + gap, pitch)
    two, three = one.copy(), Watch.of(one.state())
    here = one.state()
    for gap, pitch in 3 * after:
        now += gap
        two.hear(now, pitch)
        three.hear(now, pitch)
        assert two.nearness(now) == three.nearness(now)
    assert one.state() == here
    assert two.state() == three.state()


def test_a_text_that_says_itself_again_and_again() -> None:
    """Six times and for 300 characters, as the shorter of both asks."""
    cycle = [*b"the quick brown fox jumps over the lazy dog, and then "]
    watch, nearness = Watch(), []
    for character in [*range(1000, 1500), *8 * cycle]:
        watch.read([character], 0)
        nearness.append(watch.nearness())
    assert max(nearness[:600]) < 0.4
    assert next(index for index, near in enumerate(nearness) if near >= 1) in range(500 + 6 * 54 - 2, 500 + 6 * 54 + 2)
    for character in range(1000):
        watch.read([character], 0)
    assert watch.nearness() == 0


def one_by_one(watch: Watch, text: list[int], position: int, after: int, until: float) -> tuple[int, float]:
    """As `read`, with each character compared as it comes, and the question asked at every second one; and the largest
    nearness on the way."""
    nearest = 0.0
    for index, character in enumerate(text, start=1):
        _turn(watch._memory, watch._memory[STARTS, 0] + 1, character, 0)
        nearness = _nearness(watch._memory, PATIENCE)
        nearest = max(nearest, nearness)
        if (position + index) % 2 == 0 and position + index > after and nearness >= until:
            return index, nearest
    return len(text), nearest


@pytest.mark.parametrize("seed", range(5))
def test_a_text_is_heard_alike_in_any_pieces(seed: int) -> None:
    random, one, many, position, stops = Random(seed), Watch(), Watch(), 0, 0
    text = [random.randrange(3) for _ in range(300)]
    while len(text) < 6000:
        cycle = random.choice([1, 2, 7, 40, 54, 100, LONGEST_CYCLE - 1, LONGEST_CYCLE])
        for _ in range(random.randint(1, 8 * cycle)):
            text.append(random.randrange(60) if random.random() < 0.02 else text[-cycle])
    while position < len(text):
        until = random.choice([0.0, 0.4, 0.4, math.inf])
        piece = text[position : position + random.choice([0, 1, 5, 64, 64, LONGEST_CYCLE, LONGEST_CYCLE + 1, 300])]
        bound = _bound(many._memory, len(piece))
        read = many.read(piece, position, 2, 500, until)
        alone, nearest = one_by_one(one, piece, position, 500, until)
        assert read == alone
        assert nearest <= bound < math.inf
        assert many.state() == one.state()
        many = Watch.of(many.state())
        stops += read < len(piece)
        position += read
    assert stops


def test_a_job_of_common_text_cannot_need_the_governor() -> None:
    """Else it would be read one by one, which takes six times as long."""
    random, watch = Random(0), Watch()
    for _ in range(40):
        assert _bound(watch._memory, CHUNK) < TOO_NEAR
        watch.read([min(int(random.expovariate(0.06)), 60) for _ in range(CHUNK)], 0)


@pytest.mark.parametrize("until", [0.4, math.inf])
def test_a_memory_that_no_text_leaves_is_heard_alike_in_any_pieces(until: float) -> None:
    """Moments of music, in a watch that reads then: of their times nothing may be taken for granted."""
    one = Watch()
    for now in range(0, 90_000, 300):
        one.hear(now, 60 + now // 300 % 4)
    text = [int(shape) for _, shape in reversed(one.state()["moments"])][-200:]
    many = one.copy()
    read = many.read(text, 0, 2, 0, until)
    assert read == one_by_one(one, text, 0, 0, until)[0] == (2 if until == 0.4 else 200)
    assert many.state() == one.state()
