"""A piece that is cut off somewhere is written as if its last notes were meant."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from generator.music.layout import lay_out
from generator.music.note_values import PLAIN, values
from generator.music.score import Note, Score, TimeSignature, Voice

QUARTER = 480
LENGTHS = ([QUARTER], [960], [240, 480, 240], [720, 240], [160, 160, 160])
"""Of the notes of a voice, again and again; the last ones are triplets."""


@given(st.integers(1, 3839), st.sampled_from([(4, 4), (6, 8), (3, 4)]), st.sampled_from(LENGTHS))
def test_a_note_that_a_cut_ends_is_one_clean_note(cut: int, metre: tuple[int, int], lengths: list[int]) -> None:
    """Wherever the file ends, nothing becomes a tuplet or a chain of ties by that; only what crosses a bar is tied."""
    notes, start = [], 0
    while start < cut:
        length = lengths[len(notes) % len(lengths)]
        notes.append(Note(start, min(length, cut - start), 60 + len(notes) % 5))
        start += length
    piece = Score(QUARTER, (Voice("", 73),), tuple(notes), (TimeSignature(0, *metre),), length_ticks=cut)
    layout = lay_out(piece)
    [[layer]] = [staff.layers for staff in layout.staves]
    bar, last = layout.bars[-1], layer[-1]
    assert last.start == Fraction(notes[-1].start_ticks, QUARTER) and last.end <= bar.end
    if (round(Fraction(12 * cut, QUARTER)) % 3 == 0 and cut >= notes[-1].start_ticks + 40) or last.end == bar.end:
        return  # such an end can be written as it is
    assert abs(last.end * QUARTER - cut) <= QUARTER
    [*_, value] = [value for value in values(layer, bar) if value.pitches]
    assert not value.tied_after and value.tied_before == (last.start < bar.start)
    assert last.end - max(last.start, bar.start) in PLAIN or len(lengths) == 3 == value.tuplet


def test_the_rest_of_a_piece_is_written_as_without_the_cut() -> None:
    piece = Score(QUARTER, (Voice("", 73),), tuple(Note(start, 480, 60) for start in range(0, 3840, 480)))
    whole = lay_out(piece)
    assert lay_out(replace(piece, length_ticks=3840)) == whole == lay_out(replace(piece, length_ticks=4000))
    cut = replace(piece, notes=(*piece.notes[:-1], Note(3360, 200, 60)), length_ticks=3560)
    assert lay_out(cut).staves[0].layers[0][:-1] == whole.staves[0].layers[0][:-1]
    assert lay_out(cut).staves[0].layers[0][-1].end == Fraction(15, 2)
