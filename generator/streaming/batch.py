"""The streams that are stepped together: row i of every array is one of them, and a step makes each one token longer.

A job puts a stream's value into a row and takes it out again some tokens later. Rows are packed: the last one moves
into a gap. No row reads another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.corpora.copies import Index
from generator.corpora.copies.reading import SIZE
from generator.jit import compiled
from generator.model.backends import Backend
from generator.model.backends.threads import PARALLEL, prange, shares, threads
from generator.model.state import State
from generator.options import AT_END, SamplingOptions
from generator.streaming.constraints import Constraints
from generator.streaming.offences import PLANNED, STRENGTHS, close
from generator.streaming.rng import uniform
from generator.streaming.sampling import draw, weigh
from generator.tokenizers.base import Mask, Rows, Tokenizer

CHUNK = 64
"""Tokens of one job at most; who wants more comes back, so nobody waits for long. With few more than these, text would
no longer be compared with its past a job at a time (`stuck._bound`)."""
POSITION, LEFT, SAID, GIVEN, SEED, TOP_K, ENDING = range(7)
TEMPERATURE, TOP_P, MIN_P = range(3)
NEXT, NEVER, STOP = range(len(AT_END))
LIMIT = STRENGTHS.index("max_copy")


@dataclass(slots=True, eq=False)
class Job:
    """Up to `CHUNK` more tokens of one stream: first the `given` ones, then drawn ones, `count` in all."""

    state: State
    token: int
    """The last one, not yet fed to the model."""
    position: int
    """At which the next token will stand."""
    grammar: Rows
    """The grammar's memory, (size,)."""
    options: SamplingOptions
    count: int
    given: Sequence[int] = ()
    said: list[int] = field(default_factory=list)
    """The answer; shorter than `count` where a piece's end stopped the stream."""
    wanted: bool = True
    """Whether anyone still waits for it."""
    yielded: dict[str, int] = field(default_factory=dict)
    """How often each constraint has yielded, where it has."""
    followed: Rows | None = None
    """The memory of the engine's index, (SIZE,); None without one."""
    followed_after: Rows | None = None
    """The same, after them."""
    after: State | None = None
    """The state after them; None while the job is under way."""


class Batch:
    """Up to `rows` jobs under way. Not thread-safe."""

    def __init__(
        self,
        backend: Backend,
        tokenizer: Tokenizer,
        rows: int,
        constraints: Constraints | None = None,
        index: Index | None = None,
    ) -> None:
        """Without `constraints`, none are obeyed; without an `index`, nothing is looked for."""
        self.jobs: list[Job] = []
        self.rows = rows
        self._backend, self._grammar, self._end = backend, tokenizer.grammar, tokenizer.end
        vocab_size = tokenizer.vocab_size
        self._memory = backend.memory(rows)
        self._grammars = np.zeros((rows, self._grammar.size), np.int64)
        self._tokens = np.zeros(rows, np.int64)
        self._counters = np.zeros((rows, 7), np.int64)
        self._filters = np.zeros((rows, 3), np.float64)
        self._said = np.zeros((rows, CHUNK), np.int64)
        self._logits = np.zeros((rows, vocab_size), np.float32)
        self._masks = np.zeros((rows, vocab_size), np.bool_)
        self._weights = np.zeros((threads(), vocab_size), np.float64)
        self._constraints = constraints
        self._constrained = False
        self._plans = np.zeros((rows, constraints.size if constraints else 1), np.int64)
        self._yielded = np.zeros((rows, len(STRENGTHS)), np.int64)
        self._offences = np.zeros(vocab_size, np.int64)
        self._index = index
        self._limited = False
        self._limits = np.zeros(rows, np.int64)
        self._followed = np.zeros((rows, SIZE), np.int64)
        self._copies = np.zeros((rows, vocab_size), np.bool_)

    def add(self, job: Job) -> None:
        """Take a job up; there must be a free row."""
        row, options = len(self.jobs), job.options
        self._memory.load(row, job.state)
        self._grammars[row] = job.grammar
        self._tokens[row] = job.token
        ending = AT_END.index(options.at_end)
        given = len(job.given)
        self._counters[row] = job.position, job.count, 0, given, options.seed, options.top_k, ending
        self._filters[row] = options.temperature, options.top_p, options.min_p
        self._said[row, :given] = job.given
        plan = self._constraints.plan(options) if self._constraints else None
        self._plans[row] = 0 if plan is None else plan
        if plan is not None and self._constraints:
            self._constraints.aim(self._plans[row], options, job.grammar)
        self._yielded[row] = 0
        self._constrained |= plan is not None
        if job.followed is not None:
            self._followed[row] = job.followed
        self._limits[row] = options.max_copy or 0
        self._limited |= options.max_copy is not None
        self.jobs.append(job)

    def step(self) -> bool:
        """One token more for every job; returns whether any is finished now. Finished jobs have left."""
        n = len(self.jobs)
        tokens, grammars, masks = self._tokens[:n], self._grammars[:n], self._masks[:n]
        self._backend.step(tokens, self._memory, self._logits)
        self._grammar.allowed(grammars, masks)
        if self._limited:
            self._keep_from_copying(n)
        if self._constrained:
            self._judge(n)
        finished = self._say(n)
        self._grammar.advance(grammars, tokens)
        if self._index is not None:
            self._index.advance(self._followed[:n], tokens)
        if finished:
            for row in np.flatnonzero(self._counters[:n, LEFT] == 0)[::-1].tolist():
                self._finish(row)
        return finished > 0

    def _say(self, n: int) -> int:
        rest = self._counters[:n], self._filters[:n], self._end
        parts = shares(n, len(self._weights))
        if parts > 1:
            return _say_side_by_side(
                parts, self._logits, self._masks, *rest, self._weights, self._said, self._tokens[:n]
            )
        return _say(self._logits, self._masks, *rest, self._weights[0], self._said, self._tokens[:n])

    def _waiting(self, n: int) -> Mask:
        """Whose next token is given."""
        return self._counters[:n, SAID] < self._counters[:n, GIVEN]

    def _keep_from_copying(self, n: int) -> None:
        assert self._index is not None
        copies, never = self._copies[:n], self._counters[:n, ENDING] == NEVER
        self._index.copying(self._followed[:n], self._limits[:n], copies)
        close(copies, self._waiting(n), never, self._end, self._masks[:n], self._yielded[:n, LIMIT])

    def _judge(self, n: int) -> None:
        assert self._constraints is not None
        plans, grammars, masks = self._plans[:n], self._grammars[:n], self._masks[:n]
        self._constraints.judge(plans, self._waiting(n), grammars, masks, self._offences, self._yielded[:n])

    def _finish(self, row: int) -> None:
        job, last = self.jobs[row], len(self.jobs) - 1
        job.said = self._said[row, : self._counters[row, SAID]].tolist()
        if self._constrained or self._limited:
            counts = zip(STRENGTHS, self._yielded[row].tolist(), strict=True)
            job.yielded = {name: count for name, count in counts if count}
        if job.followed is not None:
            job.followed_after = self._followed[row].copy()
        job.after = self._memory.save(row)
        if row < last:
            self._memory.move(last, row)
            kept = (self._grammars, self._tokens, self._counters, self._filters, self._said, self._plans, self._yielded)
            for array in (*kept, self._limits, self._followed):
                array[row] = array[last]
            self.jobs[row] = self.jobs[last]
        self.jobs.pop()
        self._constrained = self._constrained and bool(self._plans[:last, PLANNED].any())
        self._limited = self._limited and bool(self._limits[:last].any())


@compiled
def _say(
    logits: npt.NDArray[np.float32],
    masks: npt.NDArray[np.bool_],
    counters: npt.NDArray[np.int64],
    filters: npt.NDArray[np.float64],
    end: int,
    weights: npt.NDArray[np.float64],
    said: npt.NDArray[np.int64],
    tokens: npt.NDArray[Any],
) -> int:
    """The next token of every stream, into `tokens` and `said`; returns how many jobs are finished."""
    finished = 0
    for row in range(len(tokens)):
        count = counters[row]
        drawn = count[SAID] >= count[GIVEN]
        if drawn:
            if count[ENDING] == NEVER:
                masks[row, end] = False
            temperature, top_p, min_p = filters[row]
            weigh(logits[row], masks[row], temperature, count[TOP_K], top_p, min_p, weights)
            tokens[row] = draw(weights, uniform(count[SEED], count[POSITION]))
        else:
            tokens[row] = said[row, count[SAID]]
        said[row, count[SAID]] = tokens[row]
        count[SAID] += 1
        count[POSITION] += 1
        count[LEFT] -= 1
        if drawn and count[ENDING] == STOP and tokens[row] == end:
            count[LEFT] = 0
        if count[LEFT] == 0:
            finished += 1
    return finished


@partial(compiled, parallel=PARALLEL)
def _say_side_by_side(
    parts: int,
    logits: npt.NDArray[np.float32],
    masks: npt.NDArray[np.bool_],
    counters: npt.NDArray[np.int64],
    filters: npt.NDArray[np.float64],
    end: int,
    weights: npt.NDArray[np.float64],
    said: npt.NDArray[np.int64],
    tokens: npt.NDArray[Any],
) -> int:
    """`_say`, in so many parts at a time, each with a row of `weights`."""
    rows, finished = len(tokens), 0
    for part in prange(parts):
        at, to = part * rows // parts, (part + 1) * rows // parts
        finished += _say(
            logits[at:to],
            masks[at:to],
            counters[at:to],
            filters[at:to],
            end,
            weights[part],
            said[at:to],
            tokens[at:to],
        )
    return finished
