"""The vocabulary of the drums tokenizer, and its grammar.

    piece = [style] time-signature tempo bars end
    bars  = one or more of: bar {position hits}
    hits  = one or more of: offset drum velocity

A position is a sixteenth of the bar, and an offset how many ticks before or after it a drum is struck; 96 ticks are a
quarter. So a beat has the same token whether it is played early or late, and a hit shortly before a bar line belongs to
the first sixteenth of the next bar. Positions rise within a bar, offsets at a position, and drums at an offset. So a
score has exactly one encoding. No hit is before the start of its piece, and a bar without hits is no piece's last.

All bar lines of a piece name its style, or none, so the model need not remember it from the opening on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.music.score import TimeSignature
from generator.tokenizers.base import Grammar, Loops, Mask, Rows
from generator.tokenizers.styles import check

KINDS = ("end", "bar", "time-signature", "tempo", "position", "offset", "drum", "velocity", "style")
END, BAR, TIME_SIGNATURE, TEMPO, POSITION, OFFSET, DRUM, VELOCITY, STYLE = range(len(KINDS))

TICKS_PER_QUARTER = 96
STEP_TICKS = TICKS_PER_QUARTER // 4
"""The length of a sixteenth."""
EARLIEST = -STEP_TICKS // 2
OFFSETS = range(EARLIEST, EARLIEST + STEP_TICKS)
"""In ticks from a position. At 120 quarters a minute a tick is 5.2 ms."""
VELOCITIES = (*range(4, 125, 8), 127)
TEMPOS = range(20, 401)
"""The tempos that a vocabulary may contain, in quarters a minute."""
LONGEST_BAR = 64
"""In sixteenths."""
LONGEST_PIECE = 2**40
"""In ticks. No product of ticks and microseconds exceeds an int64 then."""
TICK_MICROSECONDS = 60_000_000 // TICKS_PER_QUARTER
"""The length of a tick at one quarter a minute."""


def steps_of(metre: tuple[int, int]) -> int:
    """The length of a bar in sixteenths; 0 if a vocabulary cannot contain this metre."""
    numerator, denominator = metre
    if denominator not in (1, 2, 4, 8, 16) or not 0 < numerator * 16 // denominator <= LONGEST_BAR:
        return 0
    return TimeSignature(0, numerator, denominator).bar_ticks(TICKS_PER_QUARTER) // STEP_TICKS


class Table:
    """A vocabulary: one row for each token, with its kind and value, grouped by kind.

    A row is written as `kind value`: `position 4`, `drum 38`, `offset -3`, `time-signature 4/4`. Drums are General
    MIDI's keys. In `values`, a metre or style is its index in `metres` or `styles`; styles are optional, and come last.
    The rows of bars are `bar`, whose value is 0, and `bar` with each style, whose values are one more than the style's.

    Raises:
        CarouselError: the rows are not a vocabulary of the drums tokenizer.
        ValueError: a value is not a number.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        self.rows = tuple(rows)
        parts = [row.partition(" ") for row in self.rows]
        if any(kind not in KINDS for kind, _, _ in parts):
            raise CarouselError("the vocabulary has a row that is not for drums")
        self.kinds = [KINDS.index(kind) for kind, _, _ in parts]
        texts = {kind: [text for name, _, text in parts if name == kind] for kind in KINDS}
        self.styles = tuple(texts["style"])
        check(self.styles)
        self.metres = [
            (int(above), int(below)) for above, below in (text.split("/") for text in texts["time-signature"])
        ]
        bars_fit = texts["bar"] == ["", *self.styles]
        texts["end"] = ["0"]
        texts |= {kind: [str(at) for at in range(len(texts[kind]))] for kind in ("bar", "time-signature", "style")}
        self.columns = [[int(text) for text in texts[kind]] for kind in KINDS]
        """The values of each kind."""
        self.values = [value for column in self.columns for value in column]
        self.ids = {pair: token for token, pair in enumerate(zip(self.kinds, self.values, strict=False))}
        """The token of each (kind, value)."""
        lengths = [len(column) for column in self.columns]
        self.past = np.cumsum(lengths).tolist()
        """The token after the last one of each kind."""
        self.first = [past - length for past, length in zip(self.past, lengths, strict=True)]
        """The first token of each kind."""
        self.steps = [steps_of(metre) for metre in self.metres]
        """The length of a bar of each metre, in sixteenths."""
        self.tempos = self.columns[TEMPO]
        """In quarters a minute."""
        positions, drums, tempos = self.columns[POSITION], self.columns[DRUM], self.tempos
        valid = (
            (
                bars_fit
                and self.kinds == [kind for kind, length in enumerate(lengths) for _ in range(length)]
                and len(set(self.metres)) == len(self.metres) > 0 < min(self.steps)
                and positions == list(range(max(self.steps)))
                and self.columns[OFFSET] == list(OFFSETS)
                and tempos == list(range(tempos[0], tempos[-1] + 1))
                and TEMPOS[0] <= tempos[0] <= tempos[-1] <= TEMPOS[-1]
                and drums == sorted(set(drums))
                and 0 <= drums[0] <= drums[-1] <= 127
                and self.columns[VELOCITY] == list(VELOCITIES)
            )
            if all(lengths[:STYLE])
            else False
        )
        if not valid:
            raise CarouselError("the vocabulary's rows are out of order or out of range, or a kind is missing")


# The rows of `rules`, shape (5, vocab_size): each token's kind and value; each kind's first token and the one past its
# last; each metre's sixteenths a bar. Rows are padded with 0.
KIND_OF, VALUE, FIRST, PAST, STEPS = range(5)

FIELDS = (
    *("last", "piece_start", "piece_clock", "bar_start", "bar_ticks", "metre", "tempo"),
    *("style", "position", "offset", "drum", "hits"),
)
LAST, PIECE_START, PIECE_CLOCK, BAR_START, BAR_TICKS, IN_METRE, AT_TEMPO = range(7)
IN_STYLE, AT_POSITION, AT_OFFSET, LAST_DRUM, HITS = range(7, 12)
"""A row of memory; -1 stands for a value that is not known. `LAST` is the kind of the last token, `PIECE_CLOCK` the
time of `PIECE_START` in microseconds from the start of the stream, `IN_STYLE` the value of the piece's bar lines,
`LAST_DRUM` the last drum at this offset, and `HITS` how many hits the piece has so far."""


@compiled
def now(row: Rows) -> int:
    """The first tick at which the next hit may be."""
    return int(max(row[PIECE_START], row[BAR_START] + max(0, row[AT_POSITION]) * STEP_TICKS + row[AT_OFFSET]))


@compiled
def clock(row: Rows, tick: int) -> int:
    """The time of a tick of this piece in microseconds from the start of the stream."""
    return int(row[PIECE_CLOCK] + (tick - row[PIECE_START]) * TICK_MICROSECONDS // max(1, row[AT_TEMPO]))


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed gives a meaningless row, but nothing is written outside it."""
    for stream in range(len(tokens)):
        row, token = memory[stream], tokens[stream]
        kind, value = rules[KIND_OF, token], rules[VALUE, token]
        row[LAST] = kind
        if kind == TIME_SIGNATURE:
            row[IN_METRE] = value
        elif kind == TEMPO:
            row[AT_TEMPO] = value
        elif kind == STYLE:
            row[IN_STYLE] = value + 1
        elif kind == BAR:
            row[IN_STYLE] = value
            row[BAR_START] += row[BAR_TICKS]
            row[BAR_TICKS] = rules[STEPS, max(0, row[IN_METRE])] * STEP_TICKS
            row[AT_POSITION], row[AT_OFFSET], row[LAST_DRUM] = -1, EARLIEST, -1
        elif kind == POSITION:
            row[AT_POSITION], row[AT_OFFSET], row[LAST_DRUM] = value, EARLIEST, -1
        elif kind == OFFSET:
            if value != row[AT_OFFSET]:
                row[LAST_DRUM] = -1
            row[AT_OFFSET] = value
        elif kind == DRUM:
            row[LAST_DRUM] = value
        elif kind == VELOCITY:
            row[HITS] += 1
        elif kind == END:
            row[BAR_START] += row[BAR_TICKS]
            row[PIECE_CLOCK] = clock(row, row[BAR_START])
            row[PIECE_START] = row[BAR_START]
            row[BAR_TICKS:] = -1
            row[BAR_TICKS] = row[AT_OFFSET] = row[HITS] = 0


@compiled
def allow(rules: Rows, mask: Mask, kind: int, least: int) -> None:
    """Allow the tokens of a kind whose value is at least `least`."""
    for token in range(rules[FIRST, kind], rules[PAST, kind]):
        mask[token] = rules[VALUE, token] >= least


@compiled
def allow_next(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow the tokens that may come next."""
    last = row[LAST]
    if last == END:
        allow(rules, mask, STYLE, 0)
    if last in (END, STYLE):
        allow(rules, mask, TIME_SIGNATURE, 0)
    elif last == TIME_SIGNATURE:
        allow(rules, mask, TEMPO, 0)
    elif last == OFFSET:
        allow(rules, mask, DRUM, row[LAST_DRUM] + 1)
    elif last == DRUM:
        allow(rules, mask, VELOCITY, 0)
    else:
        if last != POSITION:
            if row[IN_STYLE] < 0:
                allow(rules, mask, BAR, 0)
            else:
                mask[rules[FIRST, BAR] + row[IN_STYLE]] = True
        mask[rules[FIRST, END]] = last == VELOCITY
    if last in (BAR, VELOCITY):
        first = rules[FIRST, POSITION]
        for position in range(row[AT_POSITION] + 1, row[BAR_TICKS] // STEP_TICKS):
            mask[first + position] = True
    if last in (POSITION, VELOCITY):
        least = row[AT_OFFSET]
        if row[LAST_DRUM] == rules[VALUE, rules[PAST, DRUM] - 1]:
            least += 1
        if row[AT_POSITION] == 0 and row[BAR_START] == row[PIECE_START]:
            least = max(least, 0)
        allow(rules, mask, OFFSET, least)


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`."""
    masks[:] = False
    for stream in range(len(memory)):
        allow_next(rules, memory[stream], masks[stream])


class DrumsGrammar(Grammar):
    """The grammar of one vocabulary."""

    loops = Loops(allowed, advance)
    size = len(FIELDS)

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rules: Rows = np.zeros((5, len(table.rows)), dtype=np.int64)
        for row, values in enumerate((table.kinds, table.values, table.first, table.past, table.steps)):
            self.rules[row, : len(values)] = values

    def begin(self) -> Rows:
        row = np.zeros(self.size, dtype=np.int64)
        row[[IN_METRE, AT_TEMPO, IN_STYLE, AT_POSITION, LAST_DRUM]] = -1
        return row
