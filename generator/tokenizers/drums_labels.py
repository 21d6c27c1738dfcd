"""What the drums tokenizer knows before each token: place in the bar, the last hit, the bars so far."""

from __future__ import annotations

import numpy as np

from generator.music.names import drum_name
from generator.tokenizers.base import Tokens
from generator.tokenizers.drums_grammar import (
    AT_POSITION,
    BAR,
    DRUM,
    END,
    HITS,
    LAST,
    OFFSET,
    POSITION,
    STYLE,
    VALUE,
    VELOCITY,
    DrumsGrammar,
)
from generator.tokenizers.labels import Labels, ahead, before, counted, kept, styles


def labels(grammar: DrumsGrammar, tokens: Tokens) -> Labels:
    """As `Tokenizer.labels`."""
    table = grammar.table
    memory = np.concatenate([rows.copy() for rows in grammar.memories(tokens)])
    last, written = memory[:, LAST], np.asarray(tokens, np.int64)
    values = grammar.rules[VALUE][before(written, table.first[END]).astype(np.int64)]
    position, begins = np.maximum(memory[:, AT_POSITION], 0).astype(np.float64), last == END
    bars = counted(last == BAR, begins)
    found: Labels = {
        "position in the bar": position,
        "on a beat": position % 4 == 0,
        "between the eighths": position % 2 == 1,
        "bars since the piece began": bars,
        "hits since the piece began": memory[:, HITS].astype(np.float64),
        "hits since the bar began": counted(last == VELOCITY, last == BAR),
        "hits at this position": counted(last == VELOCITY, last == POSITION),
        "loudness of the last hit": kept(last == VELOCITY, values),
        "how late the last hit is": kept(last == OFFSET, values),
        "a position was read": last == POSITION,
        "an offset was read": last == OFFSET,
        "a drum was read": last == DRUM,
        "bars until the piece ends (looks ahead)": ahead(bars, written == table.first[END]),
    }
    struck = kept(last == DRUM, values, -1)
    found |= {f"the last hit is {drum_name(drum)}": struck == drum for drum in table.columns[DRUM]}
    return found | styles(written, table.styles, table.first[STYLE], begins)
