"""What a watch hears: loops and silence, of notes and of characters, alike in any pieces."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.streaming.stuck import LONGEST_CYCLE, PATIENCE, STARTS, Watch, _nearness, _turn


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
        watch.read([character])
        nearness.append(watch.nearness())
    assert max(nearness[:600]) < 0.4
    assert next(index for index, near in enumerate(nearness) if near >= 1) in range(500 + 6 * 54 - 2, 500 + 6 * 54 + 2)
    for character in range(1000):
        watch.read([character])
    assert watch.nearness() == 0


def one_by_one(watch: Watch, text: list[int], position: int, after: int, until: float) -> int:
    """As `read`, with each character compared as it comes, and the question asked at every second one."""
    for index, character in enumerate(text, start=1):
        _turn(watch._memory, watch._memory[STARTS, 0] + 1, character, 0)
        asked = (position + index) % 2 == 0 and position + index > after
        if asked and _nearness(watch._memory, PATIENCE) >= until:
            return index
    return len(text)


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
        piece = text[position : position + random.choice([1, 5, 64, 64, 300])]
        read = many.read(piece, position, 2, 500, until)
        assert read == one_by_one(one, piece, position, 500, until)
        assert many.state() == one.state()
        stops += read < len(piece)
        position += read
    assert stops


def test_a_memory_that_no_text_leaves_is_heard_alike_in_any_pieces() -> None:
    """Moments of music, in a watch that reads then: of their times nothing may be taken for granted."""
    one = Watch()
    for now in range(0, 90_000, 300):
        one.hear(now, 60 + now // 300 % 4)
    text = [int(shape) for _, shape in reversed(one.state()["moments"])]
    many = one.copy()
    read = many.read(text, 0, 2, 0, 0.4)
    assert read == one_by_one(one, text, 0, 0, 0.4) == 2
    assert many.state() == one.state()
