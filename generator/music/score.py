"""Music as values: notes and other events, and scores made of them.

Times are integer ticks from the start of the piece. As in a Standard MIDI File, a score has a number of ticks a
quarter, and its tempos determine the length of a tick in seconds. A performance is a score, too: with 50 ticks a
quarter and 120 quarters a minute, a tick is 10 ms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from generator.foundation.omissions import Omission
from generator.music.notes import DEFAULT_VELOCITY as DEFAULT_VELOCITY
from generator.music.notes import Columns, columns_of
from generator.music.notes import Note as Note
from generator.music.symbols import ChordSymbol, KeySignature, Marker

DEFAULT_TEMPO = 120.0
LONGEST_STYLE = 40
"""In characters."""

_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


def pitch_name(pitch: int) -> str:
    """The note name of a MIDI pitch with its octave: 60 is C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def style_name(text: str) -> str:
    """The normal form of a style's name: in lower case, printable, with single spaces, and at most 40 characters."""
    words = "".join(character if character.isprintable() else " " for character in text.lower()).split()
    return " ".join(words)[:LONGEST_STYLE].rstrip()


@dataclass(frozen=True, slots=True)
class TimeSignature:
    """The metre from `start_ticks` on, where a bar starts."""

    start_ticks: int
    numerator: int
    denominator: int

    def bar_ticks(self, ticks_per_quarter: int) -> int:
        """The length of a bar in ticks."""
        return self.numerator * 4 * ticks_per_quarter // self.denominator

    @property
    def is_compound(self) -> bool:
        """Whether a beat has three of the metre's units, as in 6/8."""
        return self.numerator % 3 == 0 and self.numerator > 3

    @property
    def beat(self) -> Fraction:
        """The length of a beat in quarters."""
        return Fraction(12 if self.is_compound else 4, self.denominator)


@dataclass(frozen=True, slots=True)
class Tempo:
    """The tempo from `start_ticks` on."""

    start_ticks: int
    quarters_per_minute: float


@dataclass(frozen=True, slots=True)
class Pedal:
    """The sustain pedal of one voice goes down or up."""

    start_ticks: int
    down: bool
    voice: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar line: a new bar starts here."""

    start_ticks: int


@dataclass(frozen=True, slots=True)
class PieceEnd:
    """A piece ends here; in a stream the next one follows."""

    start_ticks: int


MusicEvent = Note | TimeSignature | Tempo | Pedal | Bar | PieceEnd
E = TypeVar("E", bound=MusicEvent | ChordSymbol)


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice: its name and its General MIDI program (0 to 127), or drums."""

    name: str
    program: int = 0
    drum: bool = False


@dataclass(frozen=True)
class Score:
    """A piece, or the music of a stream. Each tuple of events is sorted by `start_ticks`.

    The `voice` of an event is an index into `voices`. The first bar starts at tick 0; a pickup is the end of a first
    bar that begins with silence.
    """

    ticks_per_quarter: int
    voices: tuple[Voice, ...]
    notes: Sequence[Note]
    time_signatures: tuple[TimeSignature, ...] = ()
    tempos: tuple[Tempo, ...] = ()
    pedals: Sequence[Pedal] = ()
    bars: tuple[Bar, ...] = ()
    piece_ends: tuple[PieceEnd, ...] = ()
    title: str = ""
    length_ticks: int = 0
    """Where the score was cut, which may be after its last note; 0 if it was not cut."""
    style: str = ""
    """The kind of piece as `style_name` writes it, such as `reel`. Files of music do not contain it."""
    chords: tuple[ChordSymbol, ...] = ()
    """Chord symbols above the first voice, which notation shows and nothing plays."""
    origin: str = field(default="", compare=False)
    """How the score was made, as one line of ASCII, which files of music contain; empty if it was changed since."""
    keys: tuple[KeySignature, ...] = field(default=(), compare=False)
    markers: tuple[Marker, ...] = field(default=(), compare=False)
    """Keys and markers are written into MIDI files, and are not read from them."""
    file: bytes = field(default=b"", compare=False, repr=False)
    """The MIDI file of this score where that has more than a score can say; it counts only beside an `origin`."""
    omissions: tuple[Omission, ...] = field(default=(), compare=False)
    """What was left out when the score was read from a file."""

    @staticmethod
    def from_events(
        events: Iterable[MusicEvent], *, ticks_per_quarter: int, voices: tuple[Voice, ...], title: str = ""
    ) -> Score:
        """The score of these events, which may be in any order."""
        kinds: dict[type, list[MusicEvent]] = {kind: [] for kind in (Note, TimeSignature, Tempo, Pedal, Bar, PieceEnd)}
        for event in events:
            kinds[type(event)].append(event)

        def of(kind: type) -> tuple[Any, ...]:
            return tuple(sorted(kinds[kind], key=lambda event: event.start_ticks))

        notes = sorted(
            (event for event in kinds[Note] if isinstance(event, Note)),
            key=lambda note: (note.start_ticks, note.voice, -note.pitch),
        )
        return Score(
            ticks_per_quarter,
            voices,
            tuple(notes),
            of(TimeSignature),
            of(Tempo),
            of(Pedal),
            of(Bar),
            of(PieceEnd),
            title,
        )

    @cached_property
    def columns(self) -> Columns:
        """The notes as columns."""
        return columns_of(self.notes)

    @property
    def end_ticks(self) -> int:
        """The end of the last note, or `length_ticks` if that is later."""
        return max(self.length_ticks, int((self.columns[0] + self.columns[1]).max(initial=0)))

    def louder_or_softer(self) -> int:
        """How many notes do not have the commonest velocity."""
        return len(self.notes) - int(np.bincount(self.columns[3], minlength=1).max())

    def bar_starts(self) -> Iterator[tuple[int, TimeSignature]]:
        """The start in ticks and the metre of each bar up to `end_ticks`. Before the first time signature it is 4/4."""
        changes = list(self.time_signatures)
        if not changes or changes[0].start_ticks > 0:
            changes.insert(0, TimeSignature(0, 4, 4))
        for index, metre in enumerate(changes):
            last = index + 1 == len(changes)
            until = self.end_ticks if last else changes[index + 1].start_ticks
            length = metre.bar_ticks(self.ticks_per_quarter)
            for start in range(metre.start_ticks, until, max(1, length)):
                yield start, metre

    def between(self, start_ticks: int, end_ticks: int) -> Score:
        """The part from `start_ticks`, which should be a bar line, to `end_ticks`, moved so that it starts at tick 0.

        It contains the notes that start in it, cut at its end, and at tick 0 the metre, the tempo and the pedals that
        are in force there.
        """

        def moved(events: Iterable[E]) -> tuple[E, ...]:
            return tuple(
                replace(event, start_ticks=event.start_ticks - start_ticks)
                for event in events
                if start_ticks <= event.start_ticks < end_ticks
            )

        def held(events: Iterable[E], voice: Callable[[E], int] = lambda _: 0) -> tuple[E, ...]:
            before = {voice(event): event for event in events if event.start_ticks <= start_ticks}
            later = (event for event in events if event.start_ticks > start_ticks)
            return tuple(replace(event, start_ticks=0) for event in before.values()) + moved(later)

        notes = (
            replace(note, duration_ticks=min(note.duration_ticks, end_ticks - note.start_ticks)) for note in self.notes
        )
        pedals = held(self.pedals, lambda pedal: pedal.voice)
        return replace(
            self,
            notes=moved(notes),
            time_signatures=held(self.time_signatures),
            tempos=held(self.tempos),
            pedals=tuple(pedal for pedal in pedals if pedal.down or pedal.start_ticks),
            bars=moved(self.bars),
            chords=held(self.chords),
            piece_ends=moved(self.piece_ends),
            length_ticks=0,
            origin="",
            keys=(),
            markers=(),
        )

    def clock(self) -> Clock:
        """The map from this score's ticks to seconds."""
        clock = Clock(self.ticks_per_quarter)
        for tempo in self.tempos:
            clock.set(tempo)
        return clock


@dataclass
class Clock:
    """Converts ticks to seconds and back. Tempos are added in order of time."""

    ticks_per_quarter: int
    _ticks: list[int] = field(default_factory=lambda: [0])
    _seconds: list[float] = field(default_factory=lambda: [0.0])
    _seconds_per_tick: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self._seconds_per_tick:
            self._seconds_per_tick = [60.0 / DEFAULT_TEMPO / self.ticks_per_quarter]

    def set(self, tempo: Tempo) -> None:
        """Add a tempo, which holds from its `start_ticks` on."""
        seconds = self.seconds(tempo.start_ticks)
        rate = 60.0 / tempo.quarters_per_minute / self.ticks_per_quarter
        if tempo.start_ticks <= self._ticks[-1]:
            self._seconds_per_tick[-1] = rate
        else:
            self._ticks.append(tempo.start_ticks)
            self._seconds.append(seconds)
            self._seconds_per_tick.append(rate)

    def seconds(self, ticks: float) -> float:
        """The time of a tick, or of a moment between two, in seconds from the start."""
        index = max(0, bisect_right(self._ticks, ticks) - 1)
        return self._seconds[index] + (ticks - self._ticks[index]) * self._seconds_per_tick[index]

    def ticks(self, seconds: float) -> int:
        """The first tick that is not before this time."""
        return bisect_left(range(2**53), seconds, key=self.seconds)
