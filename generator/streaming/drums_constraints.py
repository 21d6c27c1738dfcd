"""Constraints on drums: the violation of each token, from the memory of the drums grammar.

A piece has one metre and one tempo, so a metre or tempo that is asked for begins with the next piece.
"""

from __future__ import annotations

from typing import ClassVar

from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming.violations import (
    METRE,
    METRE_ASKED,
    TABLE,
    TEMPO,
    TEMPO_ASKED,
    encode_shared,
    restricting,
    style_violation,
)
from generator.tokenizers import drums_grammar as grammar
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.drums import DrumsTokenizer


@compiled
def write_violations(rules: Rows, encoded: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """Write the violation of each allowed token."""
    metre, tempo = encoded[METRE_ASKED], encoded[TEMPO_ASKED]
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, violation = rules[grammar.KIND_OF, token], rules[grammar.VALUE, token], 0
        if kind == grammar.TIME_SIGNATURE and metre >= 0 and value != metre:
            violation = METRE
        elif kind == grammar.TEMPO and tempo > 0 and value != tempo:
            violation = TEMPO
        if row[grammar.LAST] == grammar.END:
            violation |= style_violation(encoded, token, rules[grammar.FIRST, grammar.STYLE])
        violations[token] = violation


restrict = restricting("drums", write_violations)


class DrumsConstraints:
    """Encodes the constraints on drums for one vocabulary."""

    names: ClassVar[tuple[str, ...]] = ("style", "metre", "tempo")
    size = TABLE

    def __init__(self, tokenizer: DrumsTokenizer) -> None:
        self._table = tokenizer.table

    def encode(self, options: SamplingOptions) -> Rows:
        table = self._table
        return encode_shared(options, 0, table.styles, table.metres, table.tempos)
