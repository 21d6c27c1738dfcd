"""Constraint violations: for each token one integer, with a bit for each constraint that the token would violate.

The constraint with the highest priority has the highest bit. Of the tokens that the grammar allows, those with the
smallest integer stay allowed, so a mask is never empty. If the smallest integer is not 0, its bits are the constraints
that are relaxed for this token, because they cannot be met together with those of higher priority.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled, specialised
from generator.foundation.options import SamplingOptions
from generator.music.score import style_name
from generator.tokenizers.base import Mask, Rows

PRIORITIES = (
    *(
        "characters",
        "lines",
        "density",
        "voices_at_once",
        "parallels",
        "close",
        "key_distance",
        "form",
        "ranges",
        "key",
    ),
    *("tempo", "metre", "length", "style", "melody", "max_copy"),
)
"""All constraints in ascending priority: the first is relaxed first."""
_BITS = tuple(1 << bit for bit in range(len(PRIORITIES)))
CHARACTERS, LINES, DENSITY, VOICES_AT_ONCE, PARALLELS, CLOSE, KEY_DISTANCE, FORM, RANGES, KEY, *_LATER = _BITS
TEMPO, METRE, LENGTH, STYLE, MELODY, MAX_COPY = _LATER


def names_of(violation: int) -> Iterator[str]:
    """The names of the constraints whose bits are set."""
    return (name for bit, name in enumerate(PRIORITIES) if violation >> bit & 1)


# A stream's encoded constraints are one row of integers: these fields, and from `TABLE` on a table of violations by
# token (text) or by voice and pitch (music). A field is 0 (metre, key and style: -1) if the option is not set.
CONSTRAINED, NEVER_ENDS, METRE_ASKED, TEMPO_ASKED, KEY_ASKED, STYLE_ASKED = range(6)
MOST_AT_ONCE, MOST_A_SECOND, NO_PARALLELS, BARS_ASKED, CLOSES, LONGEST_DISTANCE, LINES_ASKED = range(6, 13)
SECTION, SECTIONS, UPBEAT_ASKED, RETURNS = range(13, 17)
"""The bars of a section, the number of sections, whether there is to be an upbeat (`FREE_UPBEAT` and so on), and from
`RETURNS` on for each section 0, or 1 and the place in `score_history.BARS_BEFORE` of how long ago it came before."""
FREE_UPBEAT, NO_UPBEAT, WITH_UPBEAT = range(3)
MOST_SECTIONS = 32
TABLE = RETURNS + MOST_SECTIONS


def encode_shared(
    options: SamplingOptions,
    size: int,
    styles: tuple[str, ...] = (),
    metres: Sequence[tuple[int, int]] = (),
    tempos: Sequence[int] = (),
) -> Rows:
    """Encode the constraints that several kinds of tokenizers share, with a table of zeros; shape (TABLE + size,).

    Args:
        styles, metres, tempos: those of the vocabulary. A tempo that is asked for becomes the nearest one.

    Raises:
        CarouselError: the style or metre that the options ask for is not in the vocabulary.
    """
    encoded = np.zeros(TABLE + size, np.int64)
    encoded[CONSTRAINED], encoded[NEVER_ENDS] = 1, options.at_end == "never"
    encoded[METRE_ASKED] = encoded[KEY_ASKED] = encoded[STYLE_ASKED] = -1
    if options.style:
        style = style_name(options.style)
        if style not in styles:
            known = ", ".join(styles) or "no styles"
            raise CarouselError(Option("style"), f" is {options.style!r}; this checkpoint knows {known}")
        encoded[STYLE_ASKED] = styles.index(style)
    if options.metre:
        names = [f"{numerator}/{denominator}" for numerator, denominator in metres]
        if options.metre not in names:
            raise CarouselError(Option("metre"), f" is {options.metre!r}; this checkpoint knows {', '.join(names)}")
        encoded[METRE_ASKED] = names.index(options.metre)
    if options.tempo is not None:
        encoded[TEMPO_ASKED] = nearest_tempo(tempos, options.tempo)
    encoded[MOST_AT_ONCE], encoded[MOST_A_SECOND] = options.voices_at_once or 0, options.density or 0
    return encoded


def nearest_tempo(tempos: Sequence[int], tempo: float) -> int:
    """The one of these tempos that is nearest to `tempo`, all in quarters a minute; the slower one of two."""
    return min(tempos, key=lambda known: abs(known - tempo))


@compiled
def style_violation(encoded: Rows, token: int, first_style: int) -> int:
    """The violation of a token at the start of a piece, where only the style that is asked for is right."""
    return STYLE if encoded[STYLE_ASKED] >= 0 and token != first_style + encoded[STYLE_ASKED] else 0


@compiled
def key_violation(encoded: Rows, key: int) -> int:
    """The violation of a key token with this key."""
    return KEY if encoded[KEY_ASKED] >= 0 and key != encoded[KEY_ASKED] else 0


@compiled
def close_violating(mask: Mask, violations: Rows) -> int:
    """Keep only the allowed tokens with the smallest violation; return it, since its constraints are relaxed."""
    least = 1 << len(PRIORITIES)
    for token in range(len(mask)):
        if mask[token]:
            least = min(least, violations[token])
    for token in range(len(mask)):
        mask[token] = mask[token] and violations[token] == least
    return int(least)


write_violations: Any = None
"""Writes the violation of each allowed token of a row; `restricting` replaces it."""


def _restrict(
    rules: Rows, end: int, constraints: Rows, given: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """See `constraints.Restrict`."""
    for stream in range(len(memory)):
        encoded, mask = constraints[stream], masks[stream]
        if encoded[CONSTRAINED] and not given[stream]:
            if encoded[NEVER_ENDS]:
                mask[end] = False
            write_violations(rules, encoded, memory[stream], mask, violations)
            relaxed[stream] |= close_violating(mask, violations)


def restricting(kind: str, write: Callable[..., None]) -> Callable[..., None]:
    """The `constraints.Restrict` of a kind of tokenizer whose violations are written by this compiled function:
    `write(rules, encoded, row, mask, violations)`."""
    return specialised(_restrict, kind, write_violations=write)


@compiled
def close_copies(copies: Mask, given: Mask, never_ends: Mask, end: int, masks: Mask, relaxed: Rows) -> None:
    """Forbid the tokens that would copy the corpus, before all other constraints are applied, so with the highest
    priority. If the grammar allows no other token, mark `max_copy` as relaxed instead.

    Args:
        copies: the tokens that would copy, shape (n, vocab_size).
        given: whether a stream's next token is given, so that nothing is drawn, shape (n,).
        never_ends: whether a stream may not draw the token `end`, shape (n,).
        masks: the tokens that may be drawn, changed in place, shape (n, vocab_size).
        relaxed: the relaxed constraints as bits, changed in place, shape (n,).
    """
    for stream in range(len(masks)):
        if given[stream]:
            continue
        found = left = False
        for token in range(masks.shape[1]):
            if masks[stream, token] and copies[stream, token]:
                found = True
            elif masks[stream, token] and not (never_ends[stream] and token == end):
                left = True
        if found and left:
            for token in range(masks.shape[1]):
                masks[stream, token] = masks[stream, token] and not copies[stream, token]
        elif found:
            relaxed[stream] |= MAX_COPY
