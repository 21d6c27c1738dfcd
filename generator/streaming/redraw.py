"""Some bars of written music drawn again in some voices, between what stays: the other voices and all that follows.

The notes of the voices that stay are given, token for token, and so are the bar lines with their metres and tempos. In
between, each token is drawn as always, with the stream's options, from those that leave room for what is given. What
follows the bars is given again as it was. Of several candidates the one wins that the model finds likeliest, with the
beginning of what follows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from generator.foundation.errors import CarouselError
from generator.streaming.alternatives import Probabilities
from generator.streaming.batch import Batch
from generator.streaming.governor import lifted
from generator.streaming.jobs import Cursor, Job
from generator.streaming.rng import uniform
from generator.streaming.stream import Stream
from generator.tokenizers import score_grammar as grammar
from generator.tokenizers import score_memory as known
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_loudness import refitted

BETWEEN_NOTES = (kinds.BAR, kinds.TIME_SIGNATURE, kinds.TEMPO, kinds.STYLE, kinds.END)
"""The kinds of the tokens that are not of a note."""
RATED = 128
"""The number of tokens of what follows that count when candidates are compared."""
MOST_TOKENS = 1024
"""The most tokens of the bars, before and after."""
NEVER = 2**62


@dataclass(frozen=True)
class Kept:
    """A note that stays: where it begins in its bar, in ticks, its voice, and its tokens."""

    offset: int
    voice: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class KeptBar:
    """What stays of a bar: the tokens that open it, and notes in the order of their tokens."""

    head: tuple[int, ...]
    notes: tuple[Kept, ...]


class _Stuck(Exception):
    """Nothing can be drawn that leaves room for what stays."""


def redraw(stream: Stream, start: int, stop: int, voices: Collection[int], count: int, seed: int) -> list[int]:
    """The tokens of a stream from a position on, with its bars up to another position drawn again.

    The stream itself does not change; a fork of it that is rewound to `start` can `inject` these tokens. With the same
    arguments they are the same on every machine.

    Args:
        start: the position of the first of the tokens that open a bar.
        stop: the same of the bar behind the last one.
        voices: those that are drawn, by their numbers.
        count: of candidates.

    Raises:
        CarouselError: the checkpoint has no bars and voices, these are no bars of one piece or too many, or nothing
            fits between what stays.
    """
    tokenizer = written(stream)
    if not voices or not set(voices) <= set(range(len(tokenizer.voices))) or count < 1:
        raise CarouselError("nothing to draw again; choose a voice and at least one candidate")
    past = stream.tokens()
    span, tail = past[start:stop].tolist(), past[stop:].tolist()
    bars = kept_bars(tokenizer, span, voices)
    if not bars or len(span) > MOST_TOKENS:
        raise CarouselError("bars of one piece can be drawn again, and not too many at once; choose others")
    meant = loudness_at(tokenizer, stream, stop)
    fork = stream.fork()
    fork.rewind(fork.position - start)
    found = []
    for candidate in range(count):
        writer = Writer(fork, tokenizer, (seed + candidate) % 2**63)
        writer.limits = first_onsets(tokenizer, stream, start, stop)
        try:
            for bar in bars:
                writer.write_bar(bar, voices)
            drawn = list(writer.tokens)
            following = refitted(tokenizer.table, tail, meant, writer.loudness)
            writer.give(following[:RATED])
        except _Stuck:
            continue
        found.append((writer.nats / max(1, writer.notes), candidate, [*drawn, *following]))
    if not found:
        raise CarouselError("nothing fits between what stays; choose more bars or more voices")
    return min(found)[2]


def kept_bars(tokenizer: ScoreTokenizer, span: Sequence[int], voices: Collection[int]) -> list[KeptBar]:
    """What stays of bars whose tokens these are, when some voices are drawn again; nothing if a piece ends in them."""
    table = tokenizer.table
    bars: list[tuple[list[int], list[Kept]]] = []
    offset, in_head = 0, False
    for index, token in enumerate(span):
        kind, value = table.kinds[token], table.values[token]
        if kind == kinds.END and bars:
            return []
        if kind in BETWEEN_NOTES:
            if not in_head:
                bars.append(([], []))
            bars[-1][0].append(token)
        elif not bars:
            return []
        elif kind == kinds.POSITION:
            offset = value
        elif kind == kinds.VOICE and value not in voices:
            louder = index + 1 < len(span) and table.kinds[span[index + 1]] == kinds.LOUDNESS
            bars[-1][1].append(Kept(offset, value, tuple(span[index : index + 3 + louder])))
        in_head = kind in BETWEEN_NOTES
    return [KeptBar(tuple(head), tuple(notes)) for head, notes in bars]


def loudness_at(tokenizer: ScoreTokenizer, stream: Stream, position: int) -> list[int]:
    """The velocity of each voice that is in force at a position, or -1."""
    fork = stream.fork()
    fork.rewind(fork.position - position)
    memory = tokenizer.decoder(fork.snapshot().decoder).memory
    found: list[int] = known.velocities(tokenizer.grammar.rules, memory).tolist()
    return found


def first_onsets(tokenizer: ScoreTokenizer, stream: Stream, start: int, stop: int) -> dict[int, int]:
    """The tick of the first note of each voice behind the bars; of a voice without one there is none."""
    fork = stream.fork()
    fork.rewind(fork.position - start)
    memory = tokenizer.decoder(fork.snapshot().decoder).memory.copy()[None]
    found: dict[int, int] = {}
    for position, token in enumerate(stream.tokens()[start:].tolist(), start):
        grammar.advance(tokenizer.grammar.rules, memory, np.array([token]))
        if position >= stop and tokenizer.table.kinds[token] == kinds.VOICE:
            found.setdefault(tokenizer.table.values[token], int(memory[0, known.NOW]))
        if len(found) == len(tokenizer.voices):
            break
    return found


class Writer:
    """Writes one candidate, token by token."""

    def __init__(self, fork: Stream, tokenizer: ScoreTokenizer, seed: int) -> None:
        here, engine = fork.snapshot(), fork.engine
        self._table, self._rules = tokenizer.table, tokenizer.grammar.rules
        self._batch = Batch(engine.backend, tokenizer, 1, engine.constraints, engine.index)
        memory = tokenizer.decoder(here.decoder).memory.copy()
        self._cursor = Cursor(here.state, here.token, here.position, memory, here.match)
        self._options, self._seed = lifted(here.options), seed
        self._kinds, self._values = np.array(self._table.kinds), np.array(self._table.values)
        self.limits: dict[int, int] = {}
        """The tick at which each drawn voice has to be free."""
        self.tokens: list[int] = []
        self.nats, self.notes = 0.0, 0

    @property
    def _row(self) -> Rows:
        return self._cursor.grammar

    @property
    def loudness(self) -> list[int]:
        """The velocity of each voice that is in force, or -1."""
        found: list[int] = known.velocities(self._rules, self._row).tolist()
        return found

    def give(self, tokens: Iterable[int]) -> None:
        """Write these tokens."""
        for token in tokens:
            if not self._open()[token]:
                raise _Stuck
            self._read()
            self._write(token)

    def write_bar(self, bar: KeptBar, voices: Collection[int]) -> None:
        """Write a bar, in which these voices are drawn."""
        self.give(bar.head)
        waiting = list(bar.notes)
        while True:
            following = waiting[0] if waiting else None
            mask = self._open()
            own = self._fitting(following, voices)
            between = np.isin(self._kinds, BETWEEN_NOTES)
            mask &= own | between if following is None else own
            if not mask.any():
                raise _Stuck
            weights, plain = self._read()
            shares = np.where(mask, weights, 0.0)
            if not shares.any():
                shares = np.where(mask, plain, 0.0)
            past = np.cumsum(shares)
            number = uniform(self._seed, self._cursor.position) * past[-1]
            token = int(np.searchsorted(past, number, side="right"))
            if between[token]:
                return  # the bar is full; what opens the next one is given
            if following and (self._kinds[token], self._values[token]) == (kinds.VOICE, following.voice):
                self._write(token)
                self.give(following.tokens[1:])
                waiting.pop(0)
            else:
                self._write(token)

    def _fitting(self, following: Kept | None, voices: Collection[int]) -> Mask:
        """The tokens of notes that leave room for the note that stays and follows."""
        row, values = self._row, self._values
        last, here = row[known.LAST], row[known.AT_POSITION]
        offset, voice = (following.offset, following.voice) if following else (NEVER, -1)
        if last in (kinds.VOICE, kinds.LOUDNESS):
            return np.isin(self._kinds, (kinds.LOUDNESS, kinds.PITCH))
        if last == kinds.PITCH:
            limit = self.limits.get(int(row[known.IN_VOICE]), NEVER)
            return np.asarray((self._kinds == kinds.DURATION) & (row[known.NOW] + values <= limit))
        ticks = values + row[known.BAR_START]
        shortest = min(self._table.columns[kinds.DURATION])
        is_room = np.zeros(len(values), bool)  # for a note of a drawn voice, were this a position
        is_own = np.zeros(len(values), bool)
        for one in voices:
            latest = self.limits.get(one, NEVER) - shortest
            is_room |= (row[known.FREE + one] <= ticks) & (ticks <= latest)
            is_own |= (values == one) & (row[known.NOW] <= latest)
        positions = (values == offset) | ((here < values) & (values < offset) & is_room)
        own_now = (is_own & (values < voice)) | (values == voice) if here == offset else is_own
        kind = self._kinds
        return np.asarray(((kind == kinds.POSITION) & positions) | ((kind == kinds.VOICE) & own_now))

    def _open(self) -> Mask:
        """The tokens that the grammar allows."""
        masks = np.zeros((1, len(self._kinds)), bool)
        grammar.allowed(self._rules, self._row[None], masks)
        return np.asarray(masks[0])

    def _read(self) -> tuple[Probabilities, Probabilities]:
        """The weights of the next token with the options, and the model's own probabilities."""
        self._batch.add(Job(self._cursor, self._options, 1))
        [(self._job, self._result)] = self._batch.step()
        logits = self._batch.work.logits[0].astype(np.float64)
        plain = np.exp(logits - logits.max())
        self._plain = plain / plain.sum()
        return self._batch.work.weights.astype(np.float64), self._plain

    def _write(self, token: int) -> None:
        """Go on with a token, after `_read`."""
        result = self._result
        if token != result.tokens[0]:
            self._batch.add(Job(self._cursor, self._options, 1, (token,)))
            [(_, result)] = self._batch.step()
        self._cursor = result.end
        self.tokens.append(token)
        self.nats -= float(np.log(max(self._plain[token], 1e-300)))
        self.notes += int(self._kinds[token] == kinds.DURATION)


def opening(stream: Stream, position: int) -> int:
    """The position of the first of the tokens that open a bar, given that of one of them or of what follows them."""
    kinds_of, tokens, first = written(stream).table.kinds, stream.tokens(), len(stream.snapshot().primer)
    while position > first and kinds_of[tokens[position - 1]] in BETWEEN_NOTES:
        position -= 1
    return position


def written(stream: Stream) -> ScoreTokenizer:
    """The tokenizer of a stream of written music.

    Raises:
        CarouselError: it is another one.
    """
    tokenizer = stream.engine.tokenizer
    if not isinstance(tokenizer, ScoreTokenizer):
        raise CarouselError("this checkpoint knows no bars; bars are drawn again in written music")
    return tokenizer
