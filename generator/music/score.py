"""Music as values: notes and other events in ticks, and a score that holds a piece of them.

Times are integer ticks from the start of the piece. A score says how many ticks make a quarter note; its tempos turn
ticks into seconds, as in a Standard MIDI File. A performance is a score too: 50 ticks a quarter at 120 quarters a
minute make a tick of 10 ms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from generator.foundation.omissions import Omission

DEFAULT_VELOCITY = 80
DEFAULT_TEMPO = 120.0
LONGEST_STYLE = 40


_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


def pitch_name(pitch: int) -> str:
    """A MIDI pitch as a note name with its octave: 60 is C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def style_name(text: str) -> str:
    """The name of a style as it is kept: in lower case, printable, with single blanks, 40 characters at most."""
    words = "".join(character if character.isprintable() else " " for character in text.lower()).split()
    return " ".join(words)[:LONGEST_STYLE].rstrip()


@dataclass(frozen=True, slots=True)
class Note:
    """A note of one voice: `pitch` 0 to 127 (60 is middle C), `velocity` 1 to 127."""

    start_ticks: int
    duration_ticks: int
    pitch: int
    velocity: int = DEFAULT_VELOCITY
    voice: int = 0

    @property
    def end_ticks(self) -> int:
        return self.start_ticks + self.duration_ticks


@dataclass(frozen=True, slots=True)
class TimeSignature:
    """A metre; it starts a bar."""

    start_ticks: int
    numerator: int
    denominator: int

    def bar_ticks(self, ticks_per_quarter: int) -> int:
        """Length of a bar in ticks."""
        return self.numerator * 4 * ticks_per_quarter // self.denominator


@dataclass(frozen=True, slots=True)
class Tempo:
    """Quarters a minute from `start_ticks` on."""

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
E = TypeVar("E", bound=MusicEvent)


@dataclass(frozen=True, slots=True)
class Voice:
    """Who plays: a part's name and its General MIDI program (0 to 127), or drums."""

    name: str
    program: int = 0
    drum: bool = False


@dataclass(frozen=True)
class Score:
    """A piece, or what a stream has played: every tuple sorted by `start_ticks`, voices as indices into `voices`.

    The first bar starts at tick 0; a pickup is a first bar whose start is silent.
    """

    ticks_per_quarter: int
    voices: tuple[Voice, ...]
    notes: tuple[Note, ...]
    time_signatures: tuple[TimeSignature, ...] = ()
    tempos: tuple[Tempo, ...] = ()
    pedals: tuple[Pedal, ...] = ()
    bars: tuple[Bar, ...] = ()
    piece_ends: tuple[PieceEnd, ...] = ()
    title: str = ""
    length_ticks: int = 0
    """Where it was cut, with the silence before the cut; 0 where it was not, and ends with its last note."""
    style: str = ""
    """What kind of piece it is, as `style_name` writes it: `reel`, `bach`. Files of music do not carry it."""
    origin: str = field(default="", compare=False)
    """How it was made, one line of ASCII; files of music carry it. A score that is changed in any way has none."""
    omissions: tuple[Omission, ...] = field(default=(), compare=False)
    """What its reader left out of the file."""

    @staticmethod
    def from_events(
        events: Iterable[MusicEvent], *, ticks_per_quarter: int, voices: tuple[Voice, ...], title: str = ""
    ) -> Score:
        """Collect events, in any order, into a score."""
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

    @property
    def end_ticks(self) -> int:
        """Where the last note ends, or the silence after it that belongs to the piece; 0 without either."""
        return max(self.length_ticks, *(note.end_ticks for note in self.notes), 0)

    def louder_or_softer(self) -> int:
        """How many notes have another velocity than most: so many change where all are made alike."""
        return len(self.notes) - max(Counter(note.velocity for note in self.notes).values(), default=0)

    def bar_starts(self) -> Iterator[tuple[int, TimeSignature]]:
        """Every bar's start in ticks with its metre, up to the end of the last note; 4/4 where nothing is said."""
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
        """The stretch from `start_ticks`, best a bar line, up to `end_ticks`, moved to begin at tick 0.

        It has the notes that start there, cut off at its end. The metre, the tempo and the pedals in force at its start
        stand at its beginning.
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
            piece_ends=moved(self.piece_ends),
            length_ticks=0,
            origin="",
        )

    def clock(self) -> Clock:
        """The map from this score's ticks to seconds."""
        clock = Clock(self.ticks_per_quarter)
        for tempo in self.tempos:
            clock.set(tempo)
        return clock


@dataclass
class Clock:
    """Ticks to seconds under a growing list of tempos; tempos come in order of time."""

    ticks_per_quarter: int
    _ticks: list[int] = field(default_factory=lambda: [0])
    _seconds: list[float] = field(default_factory=lambda: [0.0])
    _seconds_per_tick: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self._seconds_per_tick:
            self._seconds_per_tick = [60.0 / DEFAULT_TEMPO / self.ticks_per_quarter]

    def set(self, tempo: Tempo) -> None:
        """From `tempo.start_ticks` on, this tempo holds."""
        seconds = self.seconds(tempo.start_ticks)
        rate = 60.0 / tempo.quarters_per_minute / self.ticks_per_quarter
        if tempo.start_ticks <= self._ticks[-1]:
            self._seconds_per_tick[-1] = rate
        else:
            self._ticks.append(tempo.start_ticks)
            self._seconds.append(seconds)
            self._seconds_per_tick.append(rate)

    def seconds(self, ticks: int) -> float:
        """Seconds from the start at `ticks`."""
        index = max(0, bisect_right(self._ticks, ticks) - 1)
        return self._seconds[index] + (ticks - self._ticks[index]) * self._seconds_per_tick[index]

    def ticks(self, seconds: float) -> int:
        """The first tick that is not before this time."""
        return bisect_left(range(2**53), seconds, key=self.seconds)
