"""How loud written music is: the classes of a vocabulary, and tokens that are fitted to the loudness in force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.music.score import Score
from generator.tokenizers.score_vocabulary import END, LOUDNESS, VOICE, Table

DYNAMICS = {16: "ppp", 33: "pp", 49: "p", 64: "mp", 80: "mf", 96: "f", 112: "ff", 126: "fff"}
"""The velocities that a vocabulary may be fitted to, with the marks that notation has for them."""
LEAST_DYNAMICS = 0.1
"""A vocabulary has loudness if at least this share of the notes is louder or softer than most notes of their piece."""
LEAST_SHARE = 0.001
"""A class needs at least this share of the notes; a model would hardly learn it from fewer."""


def velocities(pieces: Sequence[Score]) -> list[int]:
    """The classes of a vocabulary for these pieces, as rising velocities; none if the pieces have no dynamics."""
    notes = sum(len(piece.notes) for piece in pieces)
    if sum(piece.louder_or_softer() for piece in pieces) < LEAST_DYNAMICS * notes:
        return []
    classes = np.array(list(DYNAMICS))
    nearest = np.abs(classes - np.arange(128)[:, None]).argmin(1)
    played = np.concatenate([piece.columns[3] for piece in pieces])
    counts = np.bincount(nearest[played], minlength=len(classes))
    return [int(velocity) for velocity in classes[counts >= LEAST_SHARE * notes]]


def refitted(table: Table, tokens: Sequence[int], meant: Sequence[int], in_force: Sequence[int]) -> list[int]:
    """Tokens of whole notes that sound as these did, but where other velocities are in force.

    Args:
        meant: of each voice the velocity that was in force before the tokens, or -1 for none.
        in_force: of each voice the one that is in force now.
    """
    if not table.velocities.size:
        return list(tokens)
    fitted, wanted, found = list[int](), list(meant), list(in_force)
    for index, token in enumerate(tokens):
        kind, value = table.kinds[token], table.values[token]
        if kind == LOUDNESS:
            continue
        fitted.append(token)
        if kind == END:
            return [*fitted, *tokens[index + 1 :]]
        if kind == VOICE:
            if index + 1 < len(tokens) and table.kinds[tokens[index + 1]] == LOUDNESS:
                wanted[value] = table.values[tokens[index + 1]]
            if wanted[value] >= 0 and wanted[value] != found[value]:
                found[value] = wanted[value]
                fitted.append(table.ids[LOUDNESS, wanted[value]])
    return fitted
