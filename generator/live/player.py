"""A stream that plays live to a MIDI port, and answers what a musician plays.

One loop does everything: it sends the messages that are due, reads those that have arrived, and draws a little ahead.
Messages that fall due while the port is missing are dropped.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from math import ceil

import mido
import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell
from generator.live.phrase import phrase_score
from generator.live.port import SUSTAIN, Port
from generator.music.midi import DRUM_CHANNEL, channels
from generator.music.score import DEFAULT_TEMPO, Bar, Clock, Note, Pedal, Tempo, TimeSignature
from generator.streaming.band import Source
from generator.tokenizers.base import Event

AHEAD_SECONDS = 1.5
"""The stream is drawn this far ahead of the sound."""
BUSY_SECONDS = 0.003
"""Nothing is drawn if a message is due within this time, unless the stream is hardly ahead of the sound."""
NAP_SECONDS = 0.001
"""The loop sleeps for at most this time."""
LEAD_SECONDS = 0.1
"""The time from the start of the stream, or the end of a phrase, to its first note."""
CLICK_PITCHES = (76, 77)
"""The metronome's wood blocks, for the first beat of a bar and for the others."""
CLICK_SECONDS = 0.05
HANGING_BARS = 5
"""A note that has been held for this many bars is taken for one whose note-off message was lost."""
MAX_ERRORS = 100_000
"""The number of the last messages whose timing errors are kept for the report at the end."""


class Player:
    """A stream that plays to a port. With an input port it waits for a phrase to arrive there, and then plays an answer
    of the same length."""

    def __init__(
        self,
        stream: Source,
        clock: Clock,
        output: Port,
        input_: Port | None = None,
        *,
        click: bool = False,
        now: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare to play; with `click` the metronome's first bar comes before the music.

        Args:
            clock: it has been set to the tempos of the stream's past.
            now: the time in seconds.
            sleep: waits for some seconds.
        """
        self.stream, self._clock, self._output, self._input, self._click = stream, clock, output, input_, click
        self._now, self._sleep = now, sleep
        self._channels = channels(stream.voices)
        self._has_bars = stream.has_bars
        past = list(stream.past())
        self._tempos = [event for event in past if isinstance(event, Tempo)]
        self._metres = [event for event in past if isinstance(event, TimeSignature)]
        # Messages to send, a heap: (when, note-ons after all others, number, of the metronome, message).
        self._queue: list[tuple[float, int, int, bool, mido.Message]] = []
        self._numbers = count()
        # (position of the stream before a step, when all that the step drew has been heard).
        self._steps: deque[tuple[int, float]] = deque()
        self._events: Iterator[Event] | None = None
        self._phrase: list[tuple[float, mido.Message]] = []
        self._held: set[int] = set()
        # Whether the first note is still to come, and need not wait for a metronome's bars or for a musician.
        self._silent = input_ is None and not click
        self.errors: deque[float] = deque(maxlen=MAX_ERRORS)  # seconds by which messages were sent too late
        begin = now() + LEAD_SECONDS
        self._next_bar = begin
        if click:
            self._click_bar()
            begin = self._next_bar
        self._schedule_at(begin)

    @property
    def bar_seconds(self) -> float:
        """The length of a bar in the stream's present metre and tempo; by default 4/4 at the default tempo."""
        metre = self._metres[-1] if self._metres else TimeSignature(0, 4, 4)
        return 4 * metre.numerator / metre.denominator * 60 / self._tempo

    @property
    def _tempo(self) -> float:
        return self._tempos[-1].quarters_per_minute if self._tempos else DEFAULT_TEMPO

    def play(self, events: Iterator[Event] | None) -> None:
        """Play events of the stream, or answer the input port if `events` is None, until they end or Ctrl-C.

        After Ctrl-C the stream is rewound to the last event that was heard. At the end all notes are released and both
        ports are closed.
        """
        self._events = events
        try:
            while self.step():
                pass
        except KeyboardInterrupt:
            self._stop(self._now())
        finally:
            self._output.close()
            if self._input is not None:
                self._input.close()

    def step(self) -> bool:
        """Run the loop once; returns whether to run it again."""
        now = self._now()
        self._send_due(now)
        self._output.look(now)
        if self._input is not None:
            self._input.look(now)
            self._receive(now)
        no_bar_lines = self._input is not None if self._events is None else not self._has_bars
        if self._click and no_bar_lines and self._next_bar < now + AHEAD_SECONDS:
            self._click_bar()
        due = self._queue[0][0] - now if self._queue else AHEAD_SECONDS
        ahead = self._moment_of(self.stream.horizon_ticks) - now
        near = ahead < AHEAD_SECONDS or self._silent
        if self._events is not None and near and (due > BUSY_SECONDS or ahead < LEAD_SECONDS):
            self._draw(now)
        elif self._events is None and self._input is None and not self._queue:
            return False
        elif due > 0:
            self._sleep(min(due, NAP_SECONDS))
        return True

    def _moment_of(self, ticks: int) -> float:
        """The time at which a tick of the stream sounds."""
        return self._origin + self._clock.seconds(ticks)

    def _schedule_at(self, moment: float) -> None:
        """Let the next event of the stream sound at this moment."""
        self._begun_ticks = self.stream.now_ticks
        self._origin = moment - self._clock.seconds(self._begun_ticks)

    def _push(self, moment: float, message: mido.Message, *, click: bool = False) -> None:
        heapq.heappush(self._queue, (moment, message.type == "note_on", next(self._numbers), click, message))

    def _send_due(self, now: float) -> None:
        """Send the messages that are due, and forget the steps that have been heard."""
        while self._queue and self._queue[0][0] <= now:
            moment, *_, message = heapq.heappop(self._queue)
            if self._output.send(message):
                self.errors.append(self._now() - moment)
        while len(self._steps) > 1 and self._steps[1][1] <= now:
            self._steps.popleft()

    def _draw(self, now: float) -> None:
        """Draw the next event, and put its messages into the queue."""
        position = self.stream.position
        assert self._events is not None
        event = next(self._events, None)
        if event is None:
            self._events = None
            return
        assert not isinstance(event, str)
        self._follow_change(event)
        late = now - self._moment_of(max(event.start_ticks, self._begun_ticks))
        if late > LEAD_SECONDS:  # the machine was too slow, so everything from here on is delayed
            self._origin += late
        if isinstance(event, Note):
            if self._silent:
                self._bring_forward(self._moment_of(event.start_ticks) - now - LEAD_SECONDS)
            key = {"channel": self._channels[event.voice], "note": event.pitch}
            self._push(self._moment_of(event.start_ticks), mido.Message("note_on", velocity=event.velocity, **key))
            self._push(self._moment_of(event.end_ticks), mido.Message("note_off", **key))
        elif isinstance(event, Pedal):
            channel, value = self._channels[event.voice], 127 * event.down
            pedal = mido.Message("control_change", channel=channel, control=SUSTAIN, value=value)
            self._push(self._moment_of(event.start_ticks), pedal)
        elif isinstance(event, Bar) and self._click:
            self._next_bar = self._moment_of(event.start_ticks)
            self._click_bar()
        self._steps.append((position, self._moment_of(self.stream.now_ticks)))

    def _bring_forward(self, seconds: float) -> None:
        """Let the first note, and all that follows, sound so much sooner."""
        self._silent = False
        if seconds > 0:
            self._origin -= seconds
            self._queue = [(moment - seconds, *rest) for moment, *rest in self._queue]
            self._steps = deque((position, moment - seconds) for position, moment in self._steps)

    def _follow_change(self, event: Event) -> None:
        """Take over a change of tempo or metre."""
        if isinstance(event, Tempo):
            self._clock.set(event)
            self._tempos.append(event)
        elif isinstance(event, TimeSignature):
            self._metres.append(event)

    def _click_bar(self) -> None:
        """Put the metronome's next bar into the queue."""
        beats = self._metres[-1].numerator if self._metres else 4
        for beat in range(beats):
            moment = self._next_bar + beat * self.bar_seconds / beats
            key = {"channel": DRUM_CHANNEL, "note": CLICK_PITCHES[beat > 0]}
            self._push(moment, mido.Message("note_on", velocity=100, **key), click=True)
            self._push(moment + CLICK_SECONDS, mido.Message("note_off", **key), click=True)
        self._next_bar += self.bar_seconds

    def _stop(self, now: float) -> None:
        """Silence the output, and rewind the stream to the last event that was heard. The metronome goes on."""
        self._events = None
        self._queue = [entry for entry in self._queue if entry[3]]
        heapq.heapify(self._queue)
        self._output.silence()
        unheard = next((position for position, moment in self._steps if moment > now), self.stream.position)
        self._steps.clear()
        self.stream.rewind(self.stream.position - unheard)
        until = self.stream.now_ticks
        self._tempos = [tempo for tempo in self._tempos if tempo.start_ticks <= until]
        self._metres = [metre for metre in self._metres if metre.start_ticks <= until]
        self._clock = Clock(self._clock.ticks_per_quarter)
        for tempo in self._tempos:
            self._clock.set(tempo)

    def _receive(self, now: float) -> None:
        """Add arrived messages to the phrase, and answer the phrase when a bar has passed without a message."""
        assert self._input is not None
        for message in self._input.received():
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
        """Give the phrase to the stream as input, and play what follows it, for as long as the phrase lasted."""
        phrase, self._phrase = self._phrase, []
        self._held.clear()
        begin, end = phrase[0][0], phrase[-1][0]
        bar = self.bar_seconds
        if self._click:  # the phrase is read from its bar line on
            begin -= (begin - self._next_bar) % bar
        try:
            for event in self.stream.listen(phrase_score(phrase, begin, self._tempo)):
                self._follow_change(event)
        except CarouselError as error:
            tell(error)
            return
        length = ceil((end - begin) / bar) * bar if self._has_bars else end - begin
        self._schedule_at(self._next_bar_line(now) if self._click else now + LEAD_SECONDS)
        self._events = self._events_until(self._clock.seconds(self.stream.now_ticks) + length)

    def _next_bar_line(self, now: float) -> float:
        return now + (self._next_bar - now) % self.bar_seconds

    def _events_until(self, end: float) -> Iterator[Event]:
        """The events that start before `end`, in seconds of the stream, which is then rewound to `end`."""
        cut: int | None = None
        while self._clock.seconds(self.stream.horizon_ticks) < end and not self.stream.ended:
            position = self.stream.position
            for event in self.stream.take(1):
                if not isinstance(event, str) and self._clock.seconds(event.start_ticks) < end:
                    yield event
            if cut is None and self._clock.seconds(self.stream.now_ticks) >= end:
                cut = position
        self.stream.rewind(0 if cut is None else self.stream.position - cut)

    def report(self) -> str:
        """A line about the timing errors: how far from their times the messages were sent."""
        if not self.errors:
            return "timing error: nothing was sent"
        median, most = np.percentile(np.abs(self.errors), (50, 99)) * 1000
        return f"timing error: median {median:.1f} ms, 99 % {most:.1f} ms"
