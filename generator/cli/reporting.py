"""Reports about a stream on standard error, beside its own output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from generator.analysis.originality import WINDOWS
from generator.cli.song import metre_and_tempo, where_tracks_go
from generator.foundation.omissions import WHEN_PRIMING, Sentence, many, omitted, sentences
from generator.foundation.options import flag
from generator.foundation.terminal import tell
from generator.music.score import Bar, Score
from generator.streaming.course import Progress
from generator.streaming.stream import Stream
from generator.streaming.violations import nearest_tempo
from generator.tokenizers.base import Event, Tokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.score import ScoreTokenizer

FAR = 0.1
"""The relative difference of two tempos from which on it is reported."""


def report_of_copies(stream: Stream, corpus: str) -> str:
    """A line about the longest match of a stream with a corpus, and its place there."""
    assert stream.meter is not None
    unit, longest, place = stream.meter.unit, stream.meter.longest, stream.meter.where_longest()
    if place is None:
        return f"{corpus}: no two {unit} in a row stand in its training split"
    return f"{corpus}: the longest run that stands in its training split has {longest:,} {unit}: {place}"


def reporting_copies(events: Iterator[Event], stream: Stream, corpus: str) -> Iterator[Event]:
    """Pass events on, and report each match that is long enough to count as a copy as soon as it has ended."""
    told = WINDOWS[stream.meter.unit] if stream.meter else 0
    for event in events:
        yield event
        meter = stream.meter
        if meter is not None and meter.run < meter.longest > told:
            told = meter.longest
            tell(f"so far, {report_of_copies(stream, corpus)}")


def showing_progress(
    events: Iterator[Event],
    stream: Stream,
    seconds: Callable[[int], float],
    progress: Progress,
    wanted: float,
    unit: str,
) -> Iterator[Event]:
    """Pass events on, and tell `progress` how many tokens, bars or seconds of those wanted are drawn.

    Args:
        seconds: a function from ticks to seconds.
    """
    start, bars = stream.position, 0
    for event in events:
        yield event
        bars += isinstance(event, Bar)
        if unit == "seconds":
            assert not isinstance(event, str)
            done = seconds(event.start_ticks)
        else:
            done = bars if unit == "bars" else stream.position - start
        progress("drawing", done, wanted, unit)
    progress("drawing", wanted, wanted, unit)


@contextmanager
def reporting_an_interrupt(path: Path) -> Iterator[None]:
    """Report a Ctrl-C that keeps a file from being written."""
    try:
        yield
    except KeyboardInterrupt:
        tell(f"{path}: stopped before it was whole, so nothing is written there")
        raise


def report_tempo(stream: Stream) -> None:
    """Report it if the checkpoint knows no tempo near the one that is asked for."""
    change, asked = tempo_change(stream), stream.options.tempo
    if asked is not None and abs(change - 1) > FAR and stream.song is None:  # a song keeps its own
        tell(tempo_in_words(change * asked, asked))


def tempo_change(stream: Stream) -> float:
    """The tempo of a stream's tokens divided by the one that is asked for."""
    tokenizer, asked = stream.engine.tokenizer, stream.options.tempo
    if not isinstance(tokenizer, ScoreTokenizer | DrumsTokenizer) or asked is None:
        return 1.0
    return nearest_tempo(tokenizer.table.tempos, asked) / asked


def primer_omissions(piece: str | Score, tokenizer: Tokenizer) -> list[Sentence]:
    """What a primer loses when it is encoded, as sentences.

    Raises:
        CarouselError: nothing of it can be expressed.
    """
    found, lost = tokenizer.quantise(piece)
    if not isinstance(piece, Score):
        return sentences(lost, remedy=WHEN_PRIMING)
    said: list[Sentence] = []
    for asked, heard in zip(piece.tempos[:1], found.tempos[:1], strict=False):
        change = abs(heard.quarters_per_minute / asked.quarters_per_minute - 1)
        if change > FAR:
            said.append(Sentence(tempo_in_words(heard.quarters_per_minute, asked.quarters_per_minute), True))
    told = ("tempos_changed",) if said and len(piece.tempos) == 1 else ()
    if tokenizer.bar_lines:
        said += [*metre_and_tempo(piece, found), *where_tracks_go(piece, found, tokenizer)]
    return [*said, *sentences(lost, piece.omissions, WHEN_PRIMING, told)]


def melody_omissions(score: Score, melody: str) -> list[Sentence]:
    """What of a score is left out of its melody, as sentences."""
    left = len(score.notes) - melody.rpartition(";")[2].count(":") // 2
    others = Sentence(f"{many(left, 'note')} of {len(score.notes):,} left out: a melody is one voice", loud=False)
    return [others] * (left > 0) + omitted(score.omissions, len(score.notes))


def tempo_in_words(tempo: float, asked: float) -> str:
    """The words for one tempo being played instead of another."""
    return f"tempo {tempo:g} instead of {round(asked, 2):g}: the nearest that this checkpoint knows"


def times(count: int) -> str:
    """A count in words."""
    return "once" if count == 1 else f"{count:,} times"


def report_interventions(stream: Stream) -> None:
    """Report how often constraints were relaxed, and how often the governor stepped in."""
    for name, count in stream.relaxed.items():
        tell(f"{flag(name)} was relaxed {times(count)}, where nothing could follow that keeps to it")
    if count := stream.lifts:
        tell(f"the governor stepped in {times(count)}, where it came near to a loop or to silence")
