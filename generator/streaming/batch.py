"""The streams that are stepped together: row i of every array is one of them, and a step makes each one token longer.

A job is a value: where a stream stands, and how many tokens it wants. It lies in a row until they are drawn; what comes
of it is another value. Rows are packed: the last one moves into a gap. No row reads another one.

This is the only code that runs for every token. It is compiled for each kind of tokenizer and product, and called once
for many steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.corpora.copies import Index
from generator.corpora.copies.reading import SIZE
from generator.corpora.copies.suffixes import advance as follow
from generator.corpora.copies.suffixes import copying
from generator.foundation.jit import compiled, specialised
from generator.foundation.options import AT_END, SamplingOptions
from generator.model.backends import Backend
from generator.model.backends.memory import Network
from generator.model.backends.memory import Rows as Memory
from generator.model.state import Floats, State
from generator.streaming.constraints import Constraints
from generator.streaming.rng import uniform
from generator.streaming.sampling import draw, weigh
from generator.streaming.violations import CONSTRAINED, close
from generator.tokenizers.base import Mask, Rows, Tokenizer

CHUNK = 64
"""Tokens of one job at most; who wants more comes back, so nobody waits for long. With few more than these, text would
no longer be compared with its past a job at a time (`loop_cycles.nearness_bound`)."""
POSITION, LEFT, EMITTED, GIVEN, SEED, TOP_K, ENDING = range(7)
TEMPERATURE, TOP_P, MIN_P = range(3)
NEXT, NEVER, STOP = range(len(AT_END))


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """Where a stream stands: all that its next token depends on, beside the options."""

    state: State
    token: int
    """The last one, not yet fed to the model."""
    position: int
    """At which the next token will stand."""
    grammar: Rows
    """The grammar's memory, (size,)."""
    match: Rows | None = None
    """The memory of the engine's index, (SIZE,); None without one."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Up to `CHUNK` more tokens from a cursor: first the given ones, then drawn ones, `count` in all."""

    start: Cursor
    options: SamplingOptions
    count: int
    given: Sequence[int] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came of a job."""

    tokens: list[int]
    """Fewer than the job's `count` where a piece's end stopped the stream."""
    relaxed: list[int]
    """For each token the constraints that were relaxed, a bit for each in the order of `PRIORITIES`."""
    end: Cursor


class Jobs(NamedTuple):
    """Jobs under way, for compiled code: row i of each array is one."""

    tokens: Rows
    """(rows,): each stream's last token."""
    counters: Rows
    """(rows, 7): `POSITION` and what follows it."""
    filters: npt.NDArray[np.float64]
    """(rows, 3): `TEMPERATURE` and what follows it."""
    emitted: Rows
    """(rows, CHUNK): the given tokens, and the answer."""
    relaxed: Rows
    """(rows, CHUNK)."""
    grammar: Rows
    """(rows, size)."""
    constraints: Rows
    """(rows, size): of constraints."""
    limits: Rows
    """(rows,): of copies; 0 for none."""
    match: Rows
    """(rows, SIZE)."""


class Desk(NamedTuple):
    """Room for the work on one step of all rows."""

    logits: Floats
    masks: Mask
    copies: Mask
    """Each (rows, vocab_size)."""
    waiting: Mask
    """(rows,): whether the next token is given."""
    never: Mask
    """(rows,): whether pieces never end."""
    broken: Rows
    """(rows,): what yields at this step."""
    weights: npt.NDArray[np.float64]
    order: Rows
    violations: Rows
    """Each (vocab_size,)."""


class Batch:
    """Up to `rows` jobs under way. Not thread-safe."""

    def __init__(
        self, backend: Backend, tokenizer: Tokenizer, rows: int, constraints: Constraints, index: Index | None = None
    ) -> None:
        """Without an `index`, no copies are looked for."""
        self.jobs: list[Job] = []
        self.rows = rows
        grammar, vocab_size = tokenizer.grammar, tokenizer.vocab_size
        self._memory = backend.memory(rows)
        self._constraints = constraints
        self._arrays = Jobs(
            np.zeros(rows, np.int64),
            np.zeros((rows, 7), np.int64),
            np.zeros((rows, 3), np.float64),
            np.zeros((rows, CHUNK), np.int64),
            np.zeros((rows, CHUNK), np.int64),
            np.zeros((rows, grammar.size), np.int64),
            np.zeros((rows, constraints.size), np.int64),
            np.zeros(rows, np.int64),
            np.zeros((rows, SIZE), np.int64),
        )
        desk = Desk(
            np.zeros((rows, vocab_size), np.float32),
            np.zeros((rows, vocab_size), np.bool_),
            np.zeros((rows, vocab_size), np.bool_),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.int64),
            np.zeros(vocab_size, np.float64),
            np.zeros(vocab_size, np.int64),
            np.zeros(vocab_size, np.int64),
        )
        corpus = index.arrays if index else EMPTY_CORPUS
        self._rest = backend.network, self._memory.rows, self._arrays, desk, grammar.rules, tokenizer.end, *corpus
        self._run = compiled_for(backend, tokenizer, constraints, index is not None)

    def add(self, job: Job) -> None:
        """Take a job up; there must be a free row."""
        row, options, start, arrays = len(self.jobs), job.options, job.start, self._arrays
        assert 1 <= job.count <= CHUNK and len(job.given) <= job.count  # compiled code trusts it
        self._memory.load(row, start.state)
        arrays.grammar[row] = start.grammar
        arrays.tokens[row] = start.token
        given = len(job.given)
        ending = AT_END.index(options.at_end)
        arrays.counters[row] = start.position, job.count, 0, given, options.seed, options.top_k, ending
        arrays.filters[row] = options.temperature, options.top_p, options.min_p
        arrays.emitted[row, :given] = job.given
        encoded = self._constraints.encode(options)
        arrays.constraints[row] = 0 if encoded is None else encoded
        if encoded is not None:
            self._constraints.write_due(arrays.constraints[row], options, start.grammar)
        if start.match is not None:
            arrays.match[row] = start.match
        arrays.limits[row] = options.max_copy or 0
        self.jobs.append(job)

    def step(self) -> list[tuple[Job, Result]]:
        """Make all jobs longer until the first is finished; those that are finished leave, with what came of them."""
        count = len(self.jobs)
        if count == 0:
            return []
        self._run(*self._rest, count)
        finished = np.flatnonzero(self._arrays.counters[:count, LEFT] == 0)[::-1].tolist()
        return [self._finish(row) for row in finished]

    def _finish(self, row: int) -> tuple[Job, Result]:
        job, last, arrays = self.jobs[row], len(self.jobs) - 1, self._arrays
        position, _, emitted = arrays.counters[row, :GIVEN].tolist()
        match = None if job.start.match is None else arrays.match[row].copy()
        end = Cursor(self._memory.save(row), int(arrays.tokens[row]), position, arrays.grammar[row].copy(), match)
        result = Result(arrays.emitted[row, :emitted].tolist(), arrays.relaxed[row, :emitted].tolist(), end)
        if row < last:
            self._memory.move(last, row)
            for array in arrays:
                array[row] = array[last]
            self.jobs[row] = self.jobs[last]
        self.jobs.pop()
        return job, result


def _nothing(size: int, dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """An array of the type that a corpus's has, which is mapped from disk."""
    array = np.zeros(size, dtype)
    array.flags.writeable = False
    return array


EMPTY_CORPUS = np.zeros((3, 5), np.int64), _nothing(0, np.uint16), _nothing(0, np.uint32), np.zeros(0, np.int64)
"""In the place of `Index.arrays`."""


forward: Any
allowed: Any
advance: Any
judge: Any
forward = allowed = advance = judge = None
MATCHED = False
"""Whether a corpus is searched for copies. `specialised` replaces this and the functions above for `_advance`."""


def _advance(
    network: Network,
    memory: Memory,
    jobs: Jobs,
    desk: Desk,
    rules: Rows,
    end: int,
    copied: Rows,
    symbols: npt.NDArray[np.uint16],
    suffixes: npt.NDArray[np.uint32],
    buckets: Rows,
    count: int,
) -> None:
    """Make the first `count` jobs longer, step by step, until one of them is finished."""
    grammar, match, tokens = jobs.grammar[:count], jobs.match[:count], jobs.tokens[:count]
    masks, waiting, never, broken = desk.masks[:count], desk.waiting[:count], desk.never[:count], desk.broken[:count]
    limited = constrained = False
    for row in range(count):
        never[row] = jobs.counters[row, ENDING] == NEVER
        limited |= jobs.limits[row] > 0
        constrained |= jobs.constraints[row, CONSTRAINED] != 0
    finished = False
    while not finished:
        drawing = False
        for row in range(count):
            waiting[row] = jobs.counters[row, EMITTED] < jobs.counters[row, GIVEN]
            drawing |= not waiting[row]
        forward(network, memory, tokens, count, desk.logits, drawing)
        broken[:] = 0
        if drawing:
            allowed(rules, grammar, masks)
            if MATCHED and limited:
                copies = desk.copies[:count]
                copying(copied, symbols, suffixes, match, jobs.limits[:count], copies)
                close(copies, waiting, never, end, masks, broken)
            if constrained:
                judge(rules, end, jobs.constraints[:count], waiting, grammar, masks, desk.violations, broken)
        for row in range(count):
            finished |= _emit(row, jobs, desk, end)
        advance(rules, grammar, tokens)
        if MATCHED:
            follow(copied, symbols, suffixes, buckets, match, tokens)


@compiled
def _emit(row: int, jobs: Jobs, desk: Desk, end: int) -> bool:
    """The next token of a stream; returns whether its job is finished."""
    counters = jobs.counters[row]
    at, ending = counters[EMITTED], counters[ENDING]
    if desk.waiting[row]:
        token = jobs.emitted[row, at]
    else:
        mask = desk.masks[row]
        if ending == NEVER:
            mask[end] = False
        temperature, top_p, min_p = jobs.filters[row]
        weigh(desk.logits[row], mask, temperature, counters[TOP_K], top_p, min_p, desk.weights, desk.order)
        token = draw(desk.weights, uniform(counters[SEED], counters[POSITION]))
    jobs.tokens[row] = jobs.emitted[row, at] = token
    jobs.relaxed[row, at] = desk.broken[row]
    counters[EMITTED] += 1
    counters[POSITION] += 1
    counters[LEFT] -= 1
    if not desk.waiting[row] and ending == STOP and token == end:
        counters[LEFT] = 0
    return bool(counters[LEFT] == 0)


@cache
def _compiled_for(product: str, kind: str, matched: bool, *functions: Any) -> Any:
    forward, allowed, advance, judge = functions
    names = {"forward": forward, "allowed": allowed, "advance": advance, "judge": judge, "MATCHED": matched}
    return specialised(_advance, f"{product}_{kind}{'_matched' if matched else ''}", **names)


def compiled_for(backend: Backend, tokenizer: Tokenizer, constraints: Constraints, matched: bool) -> Any:
    """`_advance` for these."""
    rest = backend.forward, *tokenizer.grammar.loops, constraints.judge
    return _compiled_for(backend.product, tokenizer.kind, matched, *rest)
