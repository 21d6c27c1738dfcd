"""Constraint violations: for each token one whole number, with a bit for each constraint that the token would violate.

The constraint with the highest priority has the highest bit. Of the tokens that the grammar allows, those with the
smallest number stay open, so a mask is never empty. Where the smallest number is not 0, its bits are the constraints
that are relaxed for this token, because they cannot be met together with those of higher priority.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.music.score import style_name
from generator.tokenizers.base import Mask, Rows

PRIORITIES = (
    *("characters", "density", "voices_at_once", "parallels", "ranges", "key", "tempo", "metre", "style"),
    "melody",
    "max_copy",
)
"""The constraints, in ascending priority: the first is relaxed first."""
CHARACTERS, DENSITY, VOICES_AT_ONCE, PARALLELS, RANGES, KEY, TEMPO, METRE, STYLE, MELODY, MAX_COPY = (
    1 << bit for bit in range(len(PRIORITIES))
)


def named(broken: int) -> Iterator[str]:
    """The names of the violated constraints."""
    return (name for bit, name in enumerate(PRIORITIES) if broken >> bit & 1)


# A stream's constraints, encoded for compiled code, are a row with these fields, which are 0 (metre,
# key and style: -1) where nothing is asked for, and then a table of violations, by token or by voice and pitch.
CONSTRAINED, NEVER_ENDS, METRE_ASKED, TEMPO_ASKED, KEY_ASKED, STYLE_ASKED = range(6)
MOST_AT_ONCE, MOST_A_SECOND, NO_PARALLELS, TABLE = range(6, 10)


def encode_shared(options: SamplingOptions, size: int, styles: tuple[str, ...] = ()) -> Rows:
    """The constraints that several kinds of streams share, encoded, shape (TABLE + size,).

    Raises:
        CarouselError: the style is none of these.
    """
    asked = np.zeros(TABLE + size, np.int64)
    asked[CONSTRAINED], asked[NEVER_ENDS] = 1, options.at_end == "never"
    asked[METRE_ASKED] = asked[KEY_ASKED] = asked[STYLE_ASKED] = -1
    if options.style:
        style = style_name(options.style)
        if style not in styles:
            known = ", ".join(styles) or "no styles"
            raise CarouselError(Option("style"), f" is {options.style!r}; this checkpoint knows {known}")
        asked[STYLE_ASKED] = styles.index(style)
    asked[MOST_AT_ONCE], asked[MOST_A_SECOND] = options.voices_at_once or 0, options.density or 0
    return asked


@compiled
def of_style(asked: Rows, token: int, first_style: int) -> int:
    """The violation of a token at the start of a piece: any other than the style that is asked for."""
    return STYLE if asked[STYLE_ASKED] >= 0 and token != first_style + asked[STYLE_ASKED] else 0


@compiled
def of_key(asked: Rows, key: int) -> int:
    """The violation of a key: any other than the one that is asked for."""
    return KEY if asked[KEY_ASKED] >= 0 and key != asked[KEY_ASKED] else 0


@compiled
def keep_least(mask: Mask, violations: Rows) -> int:
    """Keep only the open tokens with the smallest violation; return it, for those constraints are relaxed."""
    least = 1 << len(PRIORITIES)
    for token in range(len(mask)):
        if mask[token]:
            least = min(least, violations[token])
    for token in range(len(mask)):
        mask[token] = mask[token] and violations[token] == least
    return int(least)


@compiled
def close(copies: Mask, waiting: Mask, never: Mask, end: int, masks: Mask, relaxed: Rows) -> None:
    """Close the tokens that would copy the corpus. It comes before all other constraints, so it has the highest
    priority. It is relaxed where no other token is left, for the grammar must be met in any case.

    Args:
        copies: shape (n, vocab_size).
        waiting: streams whose next token is given, shape (n,).
        never: streams whose pieces never end, shape (n,): `end` is nothing that is left to them.
        relaxed: the relaxed constraints, a bit for each, shape (n,).
    """
    for stream in range(len(masks)):
        if waiting[stream]:
            continue
        found = left = False
        for token in range(masks.shape[1]):
            if masks[stream, token] and copies[stream, token]:
                found = True
            elif masks[stream, token] and not (never[stream] and token == end):
                left = True
        if found and left:
            for token in range(masks.shape[1]):
                masks[stream, token] = masks[stream, token] and not copies[stream, token]
        elif found:
            relaxed[stream] |= MAX_COPY
