"""A batch steps many streams together: row i of every array is one stream, and each step adds one token to every row.

A job (a stream's cursor, its options and a number of tokens) occupies a row until its tokens are drawn, and then gives
a result. The occupied rows are always the first ones: when a job leaves, the last row moves into its place. Rows do not
depend on each other.

This is the only code that runs for every token. It is compiled once per kind of tokenizer and matrix product; one call
makes many steps.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.corpora.copies import Index
from generator.corpora.copies.reading import SIZE
from generator.corpora.copies.suffixes import advance as advance_match
from generator.corpora.copies.suffixes import copying
from generator.foundation.jit import compiled, specialised
from generator.foundation.options import AT_END
from generator.model.backends import Backend
from generator.model.backends.memory import Network, StateArrays
from generator.model.backends.recording import next_step
from generator.model.state import Floats
from generator.streaming import clamps
from generator.streaming.constraints import Constraints
from generator.streaming.jobs import CHUNK, Cursor, Job, Result
from generator.streaming.rng import uniform
from generator.streaming.sampling import draw, weigh
from generator.streaming.violations import CONSTRAINED, close_copies
from generator.tokenizers.base import Loops, Mask, Rows, Tokenizer

POSITION, LEFT, EMITTED, GIVEN, SEED, TOP_K, ENDING = range(7)
NEXT, NEVER, STOP = range(len(AT_END))


class JobArrays(NamedTuple):
    """The running jobs as arrays for compiled code: row i of each array belongs to job i."""

    tokens: Rows
    """The last token of each stream, (rows,)."""
    counters: Rows
    """Integers per job, with the columns `POSITION` to `ENDING`, (rows, 7)."""
    filters: npt.NDArray[np.float64]
    """The options `temperature`, `top_p` and `min_p`, (rows, 3)."""
    emitted: Rows
    """The given tokens, followed by the drawn ones, (rows, CHUNK)."""
    relaxed: Rows
    """The constraints that were relaxed for each token, as in `Result.relaxed`, (rows, CHUNK)."""
    grammar: Rows
    """The memory of the grammar, (rows, grammar.size)."""
    constraints: Rows
    """Encoded constraints, (rows, constraints.size); a row of zeros has none."""
    limits: Rows
    """The option `max_copy`, 0 for no limit, (rows,)."""
    match: Rows
    """The memory of the search for copies, (rows, SIZE)."""


class Workspace(NamedTuple):
    """Arrays that each step overwrites. The first three have the shape (rows, vocab_size); the last three serve one row
    at a time and have the shape (vocab_size,)."""

    logits: Floats
    masks: Mask
    """The tokens that may be drawn."""
    copies: Mask
    """The tokens that would make a copy longer than `max_copy`."""
    given: Mask
    """Whether the next token is given, (rows,)."""
    never_ends: Mask
    """Whether the stream has `at_end="never"`, (rows,)."""
    relaxed: Rows
    """The constraints that are relaxed in this step, as bits, (rows,)."""
    features: Rows
    """The ids of the features before the next token, (rows, columns); no columns if the model reads none."""
    weights: npt.NDArray[np.float64]
    order: Rows
    violations: Rows


class Batch:
    """Runs up to `rows` jobs at a time. Not thread-safe."""

    def __init__(
        self, backend: Backend, tokenizer: Tokenizer, rows: int, constraints: Constraints, index: Index | None = None
    ) -> None:
        """Allocate the arrays. Without an `index` there is no search for copies."""
        self.jobs: list[Job] = []
        self.rows = rows
        grammar, vocab_size = tokenizer.grammar, tokenizer.vocab_size
        self._memory = backend.memory(rows)
        self._constraints, self._grammar = constraints, grammar
        self._arrays = JobArrays(
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
        self.work = Workspace(
            np.zeros((rows, vocab_size), np.float32),
            np.zeros((rows, vocab_size), np.bool_),
            np.zeros((rows, vocab_size), np.bool_),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.int64),
            np.zeros((rows, grammar.columns if backend.config.feature_rows else 0), np.int64),
            np.zeros(vocab_size, np.float64),
            np.zeros(vocab_size, np.int64),
            np.zeros(vocab_size, np.int64),
        )
        corpus = index.arrays if index else EMPTY
        rules, end = grammar.rules, tokenizer.end
        self._config, self._network = backend.config, backend.network
        self._arguments = self._arrays, self.work, rules, end, *corpus
        self._traces: list[Floats | None] = [None] * rows
        """What is recorded of each job; compiled code writes into it."""
        self._run = compiled_for(backend, tokenizer, constraints, index is not None)

    def add(self, job: Job) -> None:
        """Put a job into a free row; there must be one."""
        row, options, start, arrays = len(self.jobs), job.options, job.start, self._arrays
        assert 1 <= job.count <= CHUNK and len(job.given) <= job.count  # compiled code does not check
        self._memory.load(row, start.state)
        arrays.grammar[row] = start.grammar
        self._grammar.ask_length(arrays.grammar[row], options.bars)
        arrays.tokens[row] = start.token
        given = len(job.given)
        ending = AT_END.index(options.at_end)
        arrays.counters[row] = start.position, job.count, 0, given, options.seed, options.top_k, ending
        arrays.filters[row] = options.temperature, options.top_p, options.min_p
        arrays.emitted[row, :given] = job.given
        encoded = self._constraints.encode(options)
        arrays.constraints[row] = 0 if encoded is None else encoded
        self._constraints.write_melody_window(arrays.constraints[row], options, start.grammar)
        if start.match is not None:
            arrays.match[row] = start.match
        arrays.limits[row] = options.max_copy or 0
        self._memory.clamp(row, clamps.encode(options.clamp, self._config))
        self._traces[row] = self._memory.new_trace(job.count) if job.traced else None
        self._memory.record(row, self._traces[row])
        self.jobs.append(job)

    def step(self) -> list[tuple[Job, Result]]:
        """Draw tokens for all jobs until at least one has finished; remove and return the finished ones."""
        count = len(self.jobs)
        if count == 0:
            return []
        self._run(self._network, self._memory.rows, *self._arguments, count)
        finished = np.flatnonzero(self._arrays.counters[:count, LEFT] == 0)[::-1].tolist()
        return [self._finish(row) for row in finished]

    def _finish(self, row: int) -> tuple[Job, Result]:
        job, last, arrays = self.jobs[row], len(self.jobs) - 1, self._arrays
        position, _, emitted = arrays.counters[row, :GIVEN].tolist()
        match = None if job.start.match is None else arrays.match[row].copy()
        end = Cursor(self._memory.save(row), int(arrays.tokens[row]), position, arrays.grammar[row].copy(), match)
        trace = self._traces[row]
        if trace is not None:
            trace = trace[:emitted, ..., : self._config.hidden_size]
        result = Result(arrays.emitted[row, :emitted].tolist(), arrays.relaxed[row, :emitted].tolist(), end, trace)
        if row < last:
            self._memory.move(last, row)
            for array in arrays:
                array[row] = array[last]
            self.jobs[row], self._traces[row] = self.jobs[last], self._traces[last]
        self.jobs.pop()
        self._traces[last] = None
        return job, result


EMPTY = np.zeros((3, 5), np.int64), np.frombuffer(b"", np.uint16), np.frombuffer(b"", np.uint32), np.zeros(0, np.int64)
"""What replaces `Index.arrays` if there is no index: arrays of the same types for numba, so two are read-only."""

forward: Any
allowed: Any
advance: Any
features: Any
restrict: Any
forward = allowed = advance = features = restrict = None
MATCHED = False
"""Whether there is a search for copies. `specialised` replaces this and the five functions above in `_advance`."""


def _advance(
    network: Network,
    memory: StateArrays,
    jobs: JobArrays,
    work: Workspace,
    rules: Rows,
    end: int,
    copied: Rows,
    symbols: npt.NDArray[np.uint16],
    suffixes: npt.NDArray[np.uint32],
    buckets: Rows,
    count: int,
) -> None:
    """Step the first `count` jobs until one of them has finished."""
    grammar, match, tokens = jobs.grammar[:count], jobs.match[:count], jobs.tokens[:count]
    masks, relaxed = work.masks[:count], work.relaxed[:count]
    given, never_ends = work.given[:count], work.never_ends[:count]
    limited = constrained = False
    for row in range(count):
        never_ends[row] = jobs.counters[row, ENDING] == NEVER
        limited |= jobs.limits[row] > 0
        constrained |= jobs.constraints[row, CONSTRAINED] != 0
    finished = False
    while not finished:
        drawing = False
        for row in range(count):
            given[row] = jobs.counters[row, EMITTED] < jobs.counters[row, GIVEN]
            drawing |= not given[row]
        if work.features.shape[1]:
            features(rules, grammar, work.features[:count])
        forward(network, memory, tokens, work.features, count, work.logits, drawing)
        relaxed[:] = 0
        if drawing:
            allowed(rules, grammar, masks)
            if MATCHED and limited:
                copies = work.copies[:count]
                copying(copied, symbols, suffixes, match, jobs.limits[:count], copies)
                close_copies(copies, given, never_ends, end, masks, relaxed)
            if constrained:
                restrict(rules, end, jobs.constraints[:count], given, grammar, masks, work.violations, relaxed)
        for row in range(count):
            finished |= _emit(row, jobs, work, end)
            next_step(memory, row)
        advance(rules, grammar, tokens)
        if MATCHED:
            advance_match(copied, symbols, suffixes, buckets, match, tokens)


@compiled
def _emit(row: int, jobs: JobArrays, work: Workspace, end: int) -> bool:
    """Choose the next token of a row and store it; return whether its job has finished."""
    counters = jobs.counters[row]
    at, ending = counters[EMITTED], counters[ENDING]
    if work.given[row]:
        token = jobs.emitted[row, at]
    else:
        mask = work.masks[row]
        if ending == NEVER:
            mask[end] = False
        temperature, top_p, min_p = jobs.filters[row]
        weigh(work.logits[row], mask, temperature, counters[TOP_K], top_p, min_p, work.weights, work.order)
        token = draw(work.weights, uniform(counters[SEED], counters[POSITION]))
    jobs.tokens[row] = jobs.emitted[row, at] = token
    jobs.relaxed[row, at] = work.relaxed[row]
    counters[EMITTED] += 1
    counters[POSITION] += 1
    counters[LEFT] -= 1
    if not work.given[row] and ending == STOP and token == end:
        counters[LEFT] = 0
    return bool(counters[LEFT] == 0)


@cache
def _compiled_for(product: str, kind: str, matched: bool, forward: Any, loops: Loops, restrict: Any) -> Any:
    names = {"forward": forward, **loops._asdict(), "restrict": restrict, "MATCHED": matched}
    return specialised(_advance, f"{product}_{kind}{'_matched' if matched else ''}", **names)


def compiled_for(backend: Backend, tokenizer: Tokenizer, constraints: Constraints, matched: bool) -> Any:
    """`_advance`, compiled for this combination."""
    rest = backend.forward, tokenizer.grammar.loops, constraints.restrict
    return _compiled_for(backend.product, tokenizer.kind, matched, *rest)
