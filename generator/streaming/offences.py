"""What a token would break, as one whole number: a bit for each constraint, the strongest highest.

Of the tokens that the grammar allows, those with the least number stay. So a mask is never empty; where even the least
number is not 0, its bits name the constraints that yield, and none of them could stand beside the stronger ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from generator.errors import CarouselError, Option
from generator.jit import compiled
from generator.music.score import style_name
from generator.options import SamplingOptions
from generator.tokenizers.base import Mask, Rows

STRENGTHS = (
    *("characters", "density", "voices_at_once", "parallels", "ranges", "key", "tempo", "metre", "style"),
    "melody",
    "max_copy",
)
"""From the weakest, which yields first, to the strongest."""
CHARACTERS, DENSITY, VOICES_AT_ONCE, PARALLELS, RANGES, KEY, TEMPO, METRE, STYLE, MELODY, MAX_COPY = (
    1 << bit for bit in range(len(STRENGTHS))
)


def named(broken: int) -> Iterator[str]:
    """The constraints that a number says are broken."""
    return (name for bit, name in enumerate(STRENGTHS) if broken >> bit & 1)


# A plan is what the options of one stream ask for, as a row that the compiled loops read: these fields, 0 or, for
# metre, key and style, -1 where nothing is asked; then offences, by token or by voice and pitch.
PLANNED, NEVER_ENDS, METRE_ASKED, TEMPO_ASKED, KEY_ASKED, STYLE_ASKED = range(6)
MOST_AT_ONCE, MOST_A_SECOND, NO_PARALLELS, TABLE = range(6, 10)


def begin_plan(options: SamplingOptions, size: int, styles: tuple[str, ...] = ()) -> Rows:
    """A plan with what several kinds of streams can obey, shape (TABLE + size,).

    Raises:
        CarouselError: the style is none of these.
    """
    plan = np.zeros(TABLE + size, np.int64)
    plan[PLANNED], plan[NEVER_ENDS] = 1, options.at_end == "never"
    plan[METRE_ASKED] = plan[KEY_ASKED] = plan[STYLE_ASKED] = -1
    if options.style:
        style = style_name(options.style)
        if style not in styles:
            known = ", ".join(styles) or "no styles"
            raise CarouselError(Option("style"), f" is {options.style!r}; this checkpoint knows {known}")
        plan[STYLE_ASKED] = styles.index(style)
    plan[MOST_AT_ONCE], plan[MOST_A_SECOND] = options.voices_at_once or 0, options.density or 0
    return plan


@compiled
def of_style(plan: Rows, token: int, first_style: int) -> int:
    """What a token that may open a piece breaks: with a style asked, anything but that."""
    return STYLE if plan[STYLE_ASKED] >= 0 and token != first_style + plan[STYLE_ASKED] else 0


@compiled
def of_key(plan: Rows, key: int) -> int:
    """What a key that a piece may say breaks: with a key asked, any but that."""
    return KEY if plan[KEY_ASKED] >= 0 and key != plan[KEY_ASKED] else 0


@compiled
def keep_least(mask: Mask, offences: Rows) -> int:
    """Close all open tokens but those that offend least; returns what they break, so that it yields."""
    least = 1 << len(STRENGTHS)
    for token in range(len(mask)):
        if mask[token]:
            least = min(least, offences[token])
    for token in range(len(mask)):
        mask[token] = mask[token] and offences[token] == least
    return int(least)


@compiled
def close(copies: Mask, waiting: Mask, never: Mask, end: int, masks: Mask, yielded: Rows) -> None:
    """Close what would be a copy, before all else is weighed: so this is the strongest of the constraints. Where
    nothing else is left it yields, for what a grammar forces has to come, copied or not.

    Args:
        copies: shape (n, vocab_size).
        waiting: streams whose next token is given, shape (n,).
        never: streams whose pieces never end, shape (n,): `end` is nothing that is left to them.
        yielded: what yields, a bit for each constraint, shape (n,).
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
            yielded[stream] |= MAX_COPY
