"""The compiled part of the loop detector: which cycles of moments a stream repeats now, and for how long.

`loop_detector` defines what a moment, a cycle and a cycle's trust are. Its memory has shape (5, LONGEST_CYCLE + 1).
"""

from __future__ import annotations

import math

import numpy as np

from generator.foundation.jit import compiled
from generator.tokenizers.base import Rows

LONGEST_CYCLE = 256
"""The most moments in a cycle."""
REPETITIONS = 6
"""How often a cycle must be played in a row to be a loop."""
SHORTEST_LOOP_MS = 30_000
SHORTEST_LOOP_CHARACTERS = 300
MOST_TRUST, LOST_TRUST = 16, 4

STARTS, SHAPES, TRUST, CYCLE_STARTS, COUNTS = range(5)
"""Rows of the memory. Column p of the first two describes the moment p before the latest one: its start, and a hash of
its intervals, or -1 if there is no such moment. Column p of the others describes the cycle of p + 1 moments: its trust,
and where that is above 0, the start of its first repetition and the number of moments since then."""


@compiled
def _next_trust(trust: int, equal: bool) -> int:
    """A cycle's trust after a moment, which is `equal` to the moment one cycle earlier or not."""
    return min(trust + 1, MOST_TRUST) if equal else max(trust - LOST_TRUST, 0)


@compiled
def add_moment(memory: Rows, start: int, shape: int, tolerance: int) -> None:
    """Add the next moment. `tolerance` is the largest difference of two times that count as equal."""
    starts, shapes, trust = memory[STARTS], memory[SHAPES], memory[TRUST]
    cycle_starts, counts = memory[CYCLE_STARTS], memory[COUNTS]
    gap = start - starts[0]
    for place in range(LONGEST_CYCLE):
        equal = shapes[place] == shape and abs(starts[place] - starts[place + 1] - gap) <= tolerance
        if equal and trust[place] == 0:
            cycle_starts[place], counts[place] = starts[place], place + 1
        trust[place] = _next_trust(trust[place], equal)
        if trust[place]:
            counts[place] += 1
        else:
            cycle_starts[place] = counts[place] = 0
    for place in range(LONGEST_CYCLE, 0, -1):
        starts[place], shapes[place] = starts[place - 1], shapes[place - 1]
    starts[0], shapes[0] = start, shape


@compiled
def add_characters(memory: Rows, characters: Rows, position: int, every: int, after: int, until: float) -> int:
    """As `LoopDetector.add_characters`."""
    if nearness_bound(memory, len(characters)) < until:
        _add_all(memory, characters)
        return len(characters)
    for index in range(len(characters)):
        add_moment(memory, memory[STARTS, 0] + 1, characters[index], 0)
        reached = position + index + 1
        may_stop = until < math.inf and reached % every == 0 and reached > after
        if may_stop and nearness(memory, SHORTEST_LOOP_CHARACTERS) >= until:
            return index + 1
    return len(characters)


@compiled
def nearness_bound(memory: Rows, count: int) -> float:
    """An upper bound of the nearness after up to `count` more characters, whatever they are.

    It is infinite if two moments are not 1 apart, which only happens in a forged take.
    """
    starts, shapes, trust = memory[STARTS], memory[SHAPES], memory[TRUST]
    cycle_starts, counts = memory[CYCLE_STARTS], memory[COUNTS]
    now, bound, valid = starts[0], 0.0, True
    for place in range(LONGEST_CYCLE):
        length = place + 1
        valid &= shapes[place] < 0 or starts[place + 1] == now - length
        # The cycle continues, or starts again with one of the new characters.
        most = max(counts[place], length)
        earliest = min(cycle_starts[place], now - place) if trust[place] else now - place
        repeated, lasted = (most + count) / (REPETITIONS * length), (now + count - earliest) / SHORTEST_LOOP_CHARACTERS
        bound = max(bound, min(repeated, lasted))
    return bound if valid else np.inf


@compiled
def _add_all(memory: Rows, characters: Rows) -> None:
    """Add all characters, as `add_moment` would one by one, if all moments in the memory are 1 apart.

    It is faster because the rows are shifted once, after all comparisons.
    """
    starts, shapes, trust = memory[STARTS], memory[SHAPES], memory[TRUST]
    cycle_starts, counts = memory[CYCLE_STARTS], memory[COUNTS]
    count, now = len(characters), starts[0]
    # All shapes in the order of time. So index 0 of the next two arrays is the longest cycle.
    line = np.empty(LONGEST_CYCLE + count, np.int32)
    new_trust = np.empty(LONGEST_CYCLE, np.int32)
    restarts = np.empty(LONGEST_CYCLE, np.int32)  # the character with which the cycle last started again, or -1
    for cycle in range(LONGEST_CYCLE):
        place = LONGEST_CYCLE - 1 - cycle
        line[cycle], new_trust[cycle], restarts[cycle] = shapes[place], trust[place], -1
    for index in range(count):
        line[LONGEST_CYCLE + index] = characters[index]
    for index in range(count):
        for cycle in range(LONGEST_CYCLE):
            equal = line[index + cycle] == line[LONGEST_CYCLE + index]
            restarts[cycle] = index if equal and new_trust[cycle] == 0 else restarts[cycle]
            new_trust[cycle] = _next_trust(new_trust[cycle], equal)
    for place in range(LONGEST_CYCLE):
        cycle = LONGEST_CYCLE - 1 - place
        trust[place] = new_trust[cycle]
        if new_trust[cycle] == 0:
            cycle_starts[place] = counts[place] = 0
        elif restarts[cycle] < 0:
            counts[place] += count
        else:
            cycle_starts[place] = now + restarts[cycle] - place
            counts[place] = place + 1 + count - restarts[cycle]
    for place in range(LONGEST_CYCLE, -1, -1):
        before = place - count
        starts[place] = starts[before] if before >= 0 else now + count - place
        shapes[place] = shapes[before] if before >= 0 else characters[count - 1 - place]


@compiled
def loop_start(memory: Rows) -> int:
    """The start in ms of the loop that began first; -1 without a loop."""
    earliest = -1
    for place in range(LONGEST_CYCLE):
        start = memory[CYCLE_STARTS, place]
        repeated = memory[TRUST, place] and memory[COUNTS, place] >= REPETITIONS * (place + 1)
        if repeated and memory[STARTS, 0] - start >= SHORTEST_LOOP_MS and (earliest < 0 or start < earliest):
            earliest = start
    return earliest


@compiled
def nearness(memory: Rows, shortest: int) -> float:
    """The largest nearness of all cycles, for loops that last at least `shortest` ms or characters."""
    nearest = 0.0
    for place in range(LONGEST_CYCLE):
        if memory[TRUST, place]:
            repeated = memory[COUNTS, place] / (REPETITIONS * (place + 1))
            lasted = (memory[STARTS, 0] - memory[CYCLE_STARTS, place]) / shortest
            nearest = max(nearest, min(repeated, lasted))
    return nearest
