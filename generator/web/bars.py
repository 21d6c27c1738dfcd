"""The bars of a live take: their beats, and excerpts for sheet music. Only the latest events are looked at, so that the
cost does not grow with the take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from generator.foundation.errors import CarouselError
from generator.music.beats import beats
from generator.music.engraving import Whole
from generator.music.excerpt import Excerpt
from generator.music.score import Bar, MusicEvent, PieceEnd, Score, Tempo, TimeSignature
from generator.tokenizers.score import ScoreTokenizer

LONGEST_PIECE = 20_000
"""The most events of a piece that are looked at."""


class NoBars(CarouselError):
    """There are no bars between two positions, or nothing in them; perhaps they are drawn again just now."""


def latest_beats(
    events: Iterable[MusicEvent], ticks_per_quarter: int, since: int, until: int
) -> list[tuple[int, bool]]:
    """The beats from tick `since` to before `until`, as `beats` returns them; `events` come latest first."""
    bars: list[Bar] = []
    metres: list[TimeSignature] = []
    for event in events:
        if isinstance(event, Bar):
            bars.append(event)
        elif isinstance(event, TimeSignature):
            metres.append(event)
        if bars and metres and metres[-1].start_ticks <= bars[-1].start_ticks <= since:
            break
    return list(beats(bars[::-1], metres[::-1], ticks_per_quarter, since, until))


def excerpt(
    events: Iterable[MusicEvent],
    tokenizer: ScoreTokenizer,
    since: int,
    until: int,
    horizon: int,
    key: Callable[[int, Score], int],
) -> tuple[Excerpt, int]:
    """The bars of one piece from the bar line that is nearest to tick `since` to the one nearest to `until`, and the
    tick at which the excerpt's score begins.

    Args:
        events: the latest first.
        horizon: what lies before this tick is known.
        key: the key of the piece that begins at a tick, from what is known of it.

    Raises:
        NoBars: there are no such bars, or no notes in them.
    """
    latest = _from_piece(events, since)
    ends = {event.start_ticks for event in latest if isinstance(event, PieceEnd)}
    edges = sorted(ends | {event.start_ticks for event in latest if isinstance(event, Bar)})
    start, end = (min(edges, key=lambda edge: abs(edge - tick), default=0) for tick in (since, until))
    if not start < end <= horizon:
        raise NoBars("there are no bars to draw here")
    piece = max((edge for edge in ends if edge <= start), default=edges[0])
    begin = max((edge for edge in edges if piece <= edge < start), default=start)
    close = min((edge for edge in ends if edge >= end), default=horizon)
    after = min((edge for edge in edges if end < edge <= close), default=close)
    score = tokenizer.collect(latest)
    ended = (PieceEnd(end - begin),) if end in ends else ()
    if not any(start <= note.start_ticks < end for note in score.notes):
        raise NoBars("these bars are empty")
    found = replace(score.between(begin, max(end, after)), piece_ends=ended)
    centres = tuple((part.low + part.high) / 2 for part in tokenizer.table.parts)
    whole = Whole(key(piece, score.between(piece, close)), centres)
    return Excerpt(found, start - begin, end - begin, whole), begin


def _from_piece(events: Iterable[MusicEvent], since: int) -> list[MusicEvent]:
    """The events from the end of the piece before tick `since` on, with the tempo and the metre in force there."""
    found: list[MusicEvent] = []
    wanted: set[type] = {Tempo, TimeSignature}
    start = None
    for event in events:
        if start is None:
            found.append(event)
            if (isinstance(event, PieceEnd) and event.start_ticks <= since + 1) or len(found) == LONGEST_PIECE:
                start = event.start_ticks
                wanted -= {type(other) for other in found if other.start_ticks <= start}
        elif type(event) in wanted:
            found.append(event)
            wanted.remove(type(event))
        if start is not None and not wanted:
            break
    return found[::-1]
