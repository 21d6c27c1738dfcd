"""What a token would break, as one whole number: a bit for each constraint, the strongest highest.

Of the tokens that the grammar allows, those with the least number stay. So a mask is never empty; where even the least
number is not 0, its bits name the constraints that yield, and none of them could stand beside the stronger ones.
"""

from __future__ import annotations

import numpy as np

from generator.jit import compiled
from generator.options import SamplingOptions
from generator.tokenizers.base import Mask, Rows

STRENGTHS = ("characters", "density", "voices_at_once", "parallels", "ranges", "key", "tempo", "metre", "melody")
"""From the weakest, which yields first, to the strongest."""
CHARACTERS, DENSITY, VOICES_AT_ONCE, PARALLELS, RANGES, KEY, TEMPO, METRE, MELODY = (
    1 << bit for bit in range(len(STRENGTHS))
)

# A plan is what the options of one stream ask for, as a row that the compiled loops read: these fields, 0 or, for metre
# and key, -1 where nothing is asked; then offences, by token or by voice and pitch.
PLANNED, NEVER_ENDS, METRE_ASKED, TEMPO_ASKED, KEY_ASKED, MOST_AT_ONCE, MOST_A_SECOND, NO_PARALLELS, TABLE = range(9)


def begin_plan(options: SamplingOptions, size: int) -> Rows:
    """A plan with what any kind of stream can obey, shape (TABLE + size,)."""
    plan = np.zeros(TABLE + size, np.int64)
    plan[PLANNED], plan[NEVER_ENDS] = 1, options.at_end == "never"
    plan[METRE_ASKED] = plan[KEY_ASKED] = -1
    plan[MOST_AT_ONCE], plan[MOST_A_SECOND] = options.voices_at_once or 0, options.density or 0
    return plan


@compiled
def keep_least(mask: Mask, offences: Rows, yielded: Rows) -> None:
    """Close all open tokens but those that offend least; count what yields in `yielded`, shape (strengths,)."""
    least = 1 << len(yielded)
    for token in range(len(mask)):
        if mask[token]:
            least = min(least, offences[token])
    for token in range(len(mask)):
        mask[token] = mask[token] and offences[token] == least
    for bit in range(len(yielded)):
        yielded[bit] += least >> bit & 1
