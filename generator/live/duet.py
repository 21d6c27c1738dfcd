"""A stream on MIDI ports: it plays live, and answers what a musician plays.

One loop does all: it sends what is due, reads what is played, and draws a little ahead. What falls due while a port is
away is lost, not kept for later.
"""

from __future__ import annotations

import heapq
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import ceil

import mido
import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell
from generator.live.port import SUSTAIN, Port
from generator.music.midi import DRUM_CHANNEL, channels
from generator.music.score import DEFAULT_TEMPO, Bar, Clock, Note, Pedal, Score, Tempo, TimeSignature, Voice
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event

AHEAD_SECONDS = 1.5
"""How far the stream is drawn before it is heard."""
NEAR_SECONDS, NAP_SECONDS = 0.003, 0.001
"""So close to what is due nothing is drawn; so long the loop sleeps at most."""
LEAD_SECONDS = 0.1
"""From the moment that the stream begins to its first note."""
TICKS_PER_QUARTER = 480
CLICK_PITCHES, CLICK_SECONDS = (76, 77), 0.05
"""Wood blocks, for a bar's first beat and for the others."""
HANGING_BARS = 5
"""A note that is held for so long has lost its end."""
MOST_ERRORS = 100_000
"""How many of the last messages are remembered, whose times are told at the end."""


class Player:
    """A stream that plays to a port, and with `ear` answers what comes in there, each phrase for as long as it was."""

    def __init__(
        self,
        stream: Stream,
        clock: Clock,
        out: Port,
        ear: Port | None = None,
        *,
        click: bool = False,
        now: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` knows the tempos of the stream's past."""
        tokenizer = stream.engine.tokenizer
        self.stream, self._clock, self._out, self._ear, self._click = stream, clock, out, ear, click
        self._now, self._sleep = now, sleep
        self._channels = channels(tokenizer.voices)
        self._written = tokenizer.kind == "score"
        past = list(stream.past())
        self._tempos = [event for event in past if isinstance(event, Tempo)]
        self._metres = [event for event in past if isinstance(event, TimeSignature)]
        self._queue: list[tuple[float, int, int, bool, mido.Message]] = []
        self._order = count()
        self._steps: deque[tuple[int, float]] = deque()
        self._events: Iterator[Event] | None = None
        self._phrase: list[tuple[float, mido.Message]] = []
        self._held: set[int] = set()
        self.errors: deque[float] = deque(maxlen=MOST_ERRORS)
        begin = now() + LEAD_SECONDS
        self._next_bar = begin
        if click:
            self._click_bar()
            begin = self._next_bar
        self._begin_at(begin)

    @property
    def bar_seconds(self) -> float:
        """A bar in the metre and tempo of the stream; two seconds where it has none."""
        metre = self._metres[-1] if self._metres else TimeSignature(0, 4, 4)
        return 4 * metre.numerator / metre.denominator * 60 / self._tempo

    @property
    def _tempo(self) -> float:
        return self._tempos[-1].quarters_per_minute if self._tempos else DEFAULT_TEMPO

    def play(self, events: Iterator[Event] | None) -> None:
        """Play events of the stream, or, with an ear, wait for what is played, until Ctrl-C; all is silent after it.
        What was drawn but not heard is taken back then."""
        self._events = events
        try:
            while self.step():
                pass
        except KeyboardInterrupt:
            self._stop(self._now())
        finally:
            self._out.close()
            if self._ear is not None:
                self._ear.close()

    def step(self) -> bool:
        """One round of the loop; whether there is another."""
        now = self._now()
        self._send_due(now)
        self._out.look(now)
        if self._ear is not None:
            self._ear.look(now)
            self._hear(now)
        alone = self._ear is not None if self._events is None else not self._written  # no bar lines are drawn
        if self._click and alone and self._next_bar < now + AHEAD_SECONDS:
            self._click_bar()
        due = self._queue[0][0] - now if self._queue else AHEAD_SECONDS
        ahead = self._at(self.stream.horizon_ticks) - now
        if self._events is not None and ahead < AHEAD_SECONDS and (due > NEAR_SECONDS or ahead < LEAD_SECONDS):
            self._draw(now)
        elif self._events is None and self._ear is None and not self._queue:
            return False
        elif due > 0:
            self._sleep(min(due, NAP_SECONDS))
        return True

    def _at(self, ticks: int) -> float:
        return self._origin + self._clock.seconds(ticks)

    def _begin_at(self, moment: float) -> None:
        """What the stream says next sounds at this moment."""
        self._begun_ticks = self.stream.now_ticks
        self._origin = moment - self._clock.seconds(self._begun_ticks)

    def _push(self, moment: float, message: mido.Message, *, click: bool = False) -> None:
        heapq.heappush(self._queue, (moment, message.type == "note_on", next(self._order), click, message))

    def _send_due(self, now: float) -> None:
        while self._queue and self._queue[0][0] <= now:
            moment, *_, message = heapq.heappop(self._queue)
            if self._out.send(message):
                self.errors.append(self._now() - moment)
        while len(self._steps) > 1 and self._steps[1][1] <= now:
            self._steps.popleft()

    def _draw(self, now: float) -> None:
        position = self.stream.position
        assert self._events is not None
        event = next(self._events, None)
        if event is None:
            self._events = None
            return
        assert not isinstance(event, str)
        self._note_change(event)
        late = now - self._at(max(event.start_ticks, self._begun_ticks))
        if late > LEAD_SECONDS:  # the machine was too slow: all that follows comes later
            self._origin += late
        if isinstance(event, Note):
            played = {"channel": self._channels[event.voice], "note": event.pitch}
            self._push(self._at(event.start_ticks), mido.Message("note_on", velocity=event.velocity, **played))
            self._push(self._at(event.end_ticks), mido.Message("note_off", **played))
        elif isinstance(event, Pedal):
            channel, value = self._channels[event.voice], 127 * event.down
            pedal = mido.Message("control_change", channel=channel, control=SUSTAIN, value=value)
            self._push(self._at(event.start_ticks), pedal)
        elif isinstance(event, Bar) and self._click:
            self._next_bar = self._at(event.start_ticks)
            self._click_bar()
        self._steps.append((position, self._at(self.stream.now_ticks)))

    def _note_change(self, event: Event) -> None:
        if isinstance(event, Tempo):
            self._clock.set(event)
            self._tempos.append(event)
        elif isinstance(event, TimeSignature):
            self._metres.append(event)

    def _click_bar(self) -> None:
        """The metronome's next bar."""
        beats = self._metres[-1].numerator if self._metres else 4
        for beat in range(beats):
            moment = self._next_bar + beat * self.bar_seconds / beats
            played = {"channel": DRUM_CHANNEL, "note": CLICK_PITCHES[beat > 0]}
            self._push(moment, mido.Message("note_on", velocity=100, **played), click=True)
            self._push(moment + CLICK_SECONDS, mido.Message("note_off", **played), click=True)
        self._next_bar += self.bar_seconds

    def _stop(self, now: float) -> None:
        """Be silent, and take back what has not been heard."""
        self._events = None
        self._queue = [entry for entry in self._queue if entry[3]]
        heapq.heapify(self._queue)
        self._out.silence()
        unheard = next((position for position, moment in self._steps if moment > now), self.stream.position)
        self._steps.clear()
        self.stream.rewind(self.stream.position - unheard)
        until = self.stream.now_ticks
        self._tempos = [tempo for tempo in self._tempos if tempo.start_ticks <= until]
        self._metres = [metre for metre in self._metres if metre.start_ticks <= until]
        self._clock = Clock(self._clock.ticks_per_quarter)
        for tempo in self._tempos:
            self._clock.set(tempo)

    def _hear(self, now: float) -> None:
        assert self._ear is not None
        for message in self._ear.received():
            begins = message.type == "note_on" and message.velocity > 0
            if begins:
                if not self._phrase:
                    self._stop(now)
                self._held.add(message.note)
            elif message.type in ("note_on", "note_off"):
                self._held.discard(message.note)
            elif message.type != "control_change" or message.control != SUSTAIN:
                continue
            if begins or self._phrase:
                self._phrase.append((now, message))
        since = now - self._phrase[-1][0] if self._phrase else 0.0
        if self._phrase and since >= self.bar_seconds * (HANGING_BARS if self._held else 1):
            self._answer(now)

    def _answer(self, now: float) -> None:
        """Let the stream hear the phrase, and play for as long."""
        phrase, self._phrase = self._phrase, []
        self._held.clear()
        begin, end = phrase[0][0], phrase[-1][0]
        bar = self.bar_seconds
        if self._click:  # from the last bar line on
            begin -= (begin - self._next_bar) % bar
        try:
            for event in self.stream.listen(self._score(phrase, begin)):
                self._note_change(event)
        except CarouselError as error:
            tell(error)
            return
        length = ceil((end - begin) / bar) * bar if self._written else end - begin
        self._begin_at(self._next_line(now) if self._click else now + LEAD_SECONDS)
        self._events = self._lasting(self._clock.seconds(self.stream.now_ticks) + length)

    def _next_line(self, now: float) -> float:
        return now + (self._next_bar - now) % self.bar_seconds

    def _score(self, phrase: list[tuple[float, mido.Message]], begin: float) -> Score:
        """What was played, with quarters of the stream's tempo."""
        rate = TICKS_PER_QUARTER * self._tempo / 60
        end = round((phrase[-1][0] - begin) * rate)
        notes: list[Note] = []
        pedals: list[Pedal] = []
        open_notes: dict[int, tuple[int, int]] = {}
        for moment, message in phrase:
            tick = round((moment - begin) * rate)
            if message.type == "control_change":
                pedals.append(Pedal(tick, message.value >= 64))
                continue
            if message.note in open_notes:
                start, velocity = open_notes.pop(message.note)
                notes.append(Note(start, max(1, tick - start), message.note, velocity))
            if message.type == "note_on" and message.velocity:
                open_notes[message.note] = tick, message.velocity
        notes += [Note(start, max(1, end - start), pitch, loud) for pitch, (start, loud) in open_notes.items()]
        tempos = (Tempo(0, self._tempo),)
        notes.sort(key=lambda note: (note.start_ticks, -note.pitch))
        return Score(TICKS_PER_QUARTER, (Voice(""),), tuple(notes), (), tempos, tuple(pedals))

    def _lasting(self, until: float) -> Iterator[Event]:
        """The stream's events up to a time, in its seconds; what is beyond is taken back."""
        cut: int | None = None
        while self._clock.seconds(self.stream.horizon_ticks) < until and not self.stream.ended:
            position = self.stream.position
            for event in self.stream.take(1):
                if not isinstance(event, str) and self._clock.seconds(event.start_ticks) < until:
                    yield event
            if cut is None and self._clock.seconds(self.stream.now_ticks) >= until:
                cut = position
        self.stream.rewind(0 if cut is None else self.stream.position - cut)

    def report(self) -> str:
        """How far from their times the messages were sent, one line."""
        if not self.errors:
            return "timing error: nothing was sent"
        median, most = np.percentile(np.abs(self.errors), (50, 99)) * 1000
        return f"timing error: median {median:.1f} ms, 99 % {most:.1f} ms"


def perform(
    stream: Stream, events: Iterator[Event], clock: Clock, out: str, ear: str | None = None, *, click: bool = False
) -> None:
    """Play `events` of a stream to the port `out`; or with the port `ear`, answer what is played there.

    Raises:
        CarouselError: a port is not there, or python-rtmidi is missing.
    """
    tokenizer = stream.engine.tokenizer
    if tokenizer.medium != "music":
        raise CarouselError(f"this checkpoint speaks {tokenizer.medium}; --midi-out is for music")
    pairs = zip(tokenizer.voices, channels(tokenizer.voices), strict=True)
    setup = [mido.Message("program_change", program=voice.program, channel=channel) for voice, channel in pairs]
    port = Port("output", out, setup)
    with _quiet_end():
        try:
            player = Player(stream, clock, port, None if ear is None else Port("input", ear, []), click=click)
            player.play(None if ear is not None else events)
        finally:
            port.close()
    tell(player.report())


@contextmanager
def _quiet_end() -> Iterator[None]:
    """Being terminated is like Ctrl-C here, so that no note is left sounding."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
