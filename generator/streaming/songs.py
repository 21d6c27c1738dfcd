"""The music of a stream in the tracks of a song: after the song, or in the place of the tracks that did not stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from generator.music import midi
from generator.music.score import DEFAULT_TEMPO, Bar, MusicEvent, Note, Score, Tempo, TimeSignature
from generator.music.song import with_new_notes
from generator.streaming.origin import Cut, Origin
from generator.tokenizers.base import Event, Tokenizer

SAME_TEMPO = 1e-3
"""Quarters a minute by which equal tempos may differ."""


def piece_of(tokenizer: Tokenizer, events: Iterable[Event], origin: Origin, cut: Cut | None, text: str) -> Score:
    """The song of an origin with what was drawn: its score, which has the MIDI file.

    Args:
        events: all events of the stream before the cut, the primer's included.
        text: the origin as the file has it.

    Raises:
        CarouselError: the song is damaged.
    """
    assert origin.song is not None
    read = tokenizer.decoder().feed_all(origin.primer)
    begun = sum(cut is None or event.start_ticks < cut.ticks for event in read if not isinstance(event, str))
    new = [event for event in events if not isinstance(event, str)][begun:]
    notes = [event for event in new if isinstance(event, Note)]
    if cut is not None and not cut.overhangs:
        notes = [replace(note, duration_ticks=min(note.duration_ticks, cut.ticks - note.start_ticks)) for note in notes]
    changes = _changes(new, notes, read, origin, midi.read(origin.song.midi)) if origin.primer and notes else []
    drawn = Score.from_events(
        [*notes, *changes], ticks_per_quarter=tokenizer.ticks_per_quarter, voices=tokenizer.voices
    )
    drawn = replace(drawn, length_ticks=cut.ticks if cut else 0)
    data = with_new_notes(origin.song, drawn, text, follows=bool(origin.primer))
    return replace(midi.read(data), title="", origin=text, file=data)


def _changes(
    new: Sequence[MusicEvent], notes: Sequence[Note], read: Sequence[Event], origin: Origin, song: Score
) -> list[MusicEvent]:
    """The tempos and metres that a file needs after a song: the tempos that were asked for in the place of the nearest
    ones of the vocabulary, and a metre whose bars are not whole bars of the song."""
    join = min(note.start_ticks for note in notes)
    asked = [options.tempo for _, options in origin.timeline if options.tempo]
    at_join = [options.tempo for position, options in origin.timeline if position <= len(origin.primer)][-1]
    tempo = [DEFAULT_TEMPO, *(one.quarters_per_minute for one in song.tempos)][-1]
    changes: list[MusicEvent] = []
    wanted = [Tempo(join, at_join)] if at_join else []
    for event in [*wanted, *(event for event in new if isinstance(event, Tempo))]:
        played = min(asked, key=lambda one: abs(one - event.quarters_per_minute), default=event.quarters_per_minute)
        if abs(played - tempo) > SAME_TEMPO:
            changes.append(Tempo(max(join, event.start_ticks), played))
            tempo = played
    metre = [TimeSignature(0, 4, 4), *song.time_signatures][-1]
    heard = [event for event in read if isinstance(event, TimeSignature)][-1:]
    lines = [event.start_ticks for event in new if isinstance(event, Bar)]
    coming = [replace(one, start_ticks=lines[0]) for one in heard if lines]
    for one in [*coming, *(event for event in new if isinstance(event, TimeSignature))]:
        if (one.numerator * metre.denominator) % (metre.numerator * one.denominator):
            changes.append(one)
            metre = one
    return changes
