"""Tokens that someone else chooses: a phrase that is played or written, or one token in the place of a drawn one.

Takes record them, so a stream with a past that was not all drawn is drawn again from its origin like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from generator.foundation.errors import CarouselError
from generator.music.score import MusicEvent, Score
from generator.streaming.course import Course, exclusive
from generator.streaming.origin import MOST_INJECTED
from generator.tokenizers import splice
from generator.tokenizers.base import Event


class Injecting(Course):
    """A stream that continues from what it is given."""

    @exclusive
    def listen(self, piece: str | Score | Sequence[MusicEvent], voice: str | None = None) -> list[Event]:
        """Inject a phrase that someone else plays or writes, and continue from it. Takes record its tokens.

        A performance ends its sounding notes, then the phrase follows with its own timing, in the key of the piece.
        Written music finishes the bar; the phrase begins at the first bar line at which no note sounds, on the grid, in
        the metre, tempo and key of the stream, and the stream continues at the bar line after it. Text is injected
        unchanged. Events in a list have the stream's ticks.

        Args:
            voice: the name of the stream's voice that gets the phrase. By default each voice of the phrase becomes the
                voice of the same name, or the first one with a suitable range (for chords, one that can have them).

        Returns:
            The completed events: those of a note that was only partly written, and those of the phrase.

        Raises:
            CarouselError: the phrase is of the wrong kind or too long, has nothing that this vocabulary can express, or
                brings the stream's injected tokens above `MOST_INJECTED`. The stream has then not advanced, except that
                a partly written note may be complete.
        """
        events: list[Event] = []
        piece = splice.checked_phrase(self.engine.tokenizer, piece, voice)
        self._repair()
        while splice.is_mid_note(self.engine.tokenizer, self._decoder):
            events += self._advance(1)
        decoder = self.engine.tokenizer.decoder(self._decoder.state())
        return events + self._inject(splice.encode_phrase(self.engine.tokenizer, decoder, piece))

    @exclusive
    def choose(self, token: int) -> list[Event]:
        """Continue with this token instead of one that is drawn; return the events that it completes. Takes record it.

        Raises:
            CarouselError: the grammar does not allow the token here, or as in `listen` there are too many.
        """
        self._repair()
        allowed = self._decoder.allowed()
        if not (isinstance(token, int) and token in range(len(allowed)) and allowed[token]):
            raise CarouselError(f"token {token} cannot come here; choose one of Stream.alternatives()")
        return self._inject([token])

    @exclusive
    def inject(self, tokens: Sequence[int]) -> list[Event]:
        """Continue with these tokens; return the events that they complete. Takes record them.

        Raises:
            CarouselError: the grammar does not allow them here, or as in `listen` there are too many.
        """
        self._repair()
        splice.check(self.engine.tokenizer, self._decoder, tokens)
        return self._inject(tokens)

    def _inject(self, given: Sequence[int]) -> list[Event]:
        """Advance through given tokens, which the grammar allows."""
        tokens = tuple(given)
        if sum(len(tokens) for _, tokens in self._injected) + len(tokens) > MOST_INJECTED:
            raise CarouselError(f"listen takes {MOST_INJECTED:,} tokens in all; start a new stream")
        self._drop_ahead()
        until = self.position + len(tokens)
        self._injected = (*self._injected, (self.position, tokens))
        events: list[Event] = []
        while self.position < until:
            events += self._advance(until - self.position)
        return events
