r"""Stream from a checkpoint: text to standard output as it is made, music into a file.

    python -m generator.sample checkpoints/shakespeare --seed 7 --prime "ROMEO:"
    python -m generator.sample checkpoints/bach --seed 7 --bars 64 -o chorales.mid

The file given with -o holds the stream from its beginning, the primer included. Its suffix says what it becomes: .mid
.wav .musicxml .svg for music, .txt for text. A text without a length given goes on until Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator import command, sinks
from generator.corpora.text import read_text
from generator.errors import CarouselError
from generator.model.backends import AUTO, BACKENDS
from generator.music import files
from generator.music.score import Bar, Clock, Note, Score, Tempo, Voice, pitch_name
from generator.options import SamplingOptions, add_arguments, given
from generator.streaming.constraints import flag
from generator.streaming.engine import Model, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event, Tokenizer

DEFAULT_TOKENS = 2000
"""Of a file, where no length is given."""


def read_primer(text: str, medium: str) -> str | Score:
    """A primer from the command line: the name of a file, or for a text model any text.

    Raises:
        CarouselError: the file is missing or of the wrong kind.
    """
    path = Path(text)
    try:
        exists = path.is_file()
    except OSError:
        exists = False
    if medium == "text":
        if exists and path.suffix.lower() in files.SUFFIXES:
            raise CarouselError(f"{path}: a music file, but this checkpoint speaks text; give a text file or text")
        return read_text(path) if exists else text
    if not exists:
        raise CarouselError(
            f"{text}: no such file; a music checkpoint is primed with a MIDI, MusicXML, ABC or krn file"
        )
    return files.read(path)[0]


@dataclass(frozen=True)
class Drawn:
    """What one token gave."""

    position: int
    """Of the stream before the token."""
    horizon_ticks: int
    """Of the stream after it."""
    events: list[Event]


def in_chunks(stream: Stream, size: int) -> Iterator[Drawn]:
    """Token by token, but drawn so many at a time."""
    while not stream.ended:
        chunk = []
        for _ in range(size):
            position = stream.position
            events = list(stream.take(1))
            chunk.append(Drawn(position, stream.horizon_ticks, events))
        yield from chunk


def until_tokens(stream: Stream, count: int | None, size: int) -> Iterator[Event]:
    """The events of that many tokens, or all there will ever be."""
    left = count
    while not stream.ended and left != 0:
        step = size if left is None else min(size, left)
        yield from stream.pull(step)
        left = None if left is None else left - step


def until_bars(stream: Stream, count: int, size: int) -> Iterator[Event]:
    """The events of that many bars. The bar line that follows them is undone, so that the stream can go on with it."""
    for drawn in in_chunks(stream, size):
        count -= any(isinstance(event, Bar) for event in drawn.events)
        if count < 0:
            stream.rewind(stream.position - drawn.position)
            return
        yield from drawn.events


def until_seconds(stream: Stream, limit: float, clock: Clock, size: int) -> Iterator[Event]:
    """The events that start before a time, in seconds from the start of the stream."""
    for drawn in in_chunks(stream, size):
        for event in drawn.events:
            assert not isinstance(event, str)
            if isinstance(event, Tempo):
                clock.set(event)
            if clock.seconds(event.start_ticks) < limit:
                yield event
        if clock.seconds(drawn.horizon_ticks) >= limit:
            stream.rewind(stream.position - drawn.position - 1)
            return


def line(event: Event, clock: Clock, voices: Sequence[Voice]) -> str:
    """A note as a line: seconds from the start, length in seconds, voice, pitch."""
    if not isinstance(event, Note):
        return ""
    start, end = clock.seconds(event.start_ticks), clock.seconds(event.end_ticks)
    return f"{start:9.3f} {end - start:7.3f}  {voices[event.voice].name}  {pitch_name(event.pitch)}\n"


def start(given_: argparse.Namespace, model: Model) -> Stream:
    """The stream that the command line asks for: resumed, primed or cold."""
    options = given(given_, SamplingOptions)
    if given_.resume is not None:
        if given_.prime is not None:
            raise CarouselError("a resumed stream has its primer already; leave --prime out")
        snapshot = Snapshot.load(given_.resume)
        try:
            return model.engine(given_.backend or snapshot.backend).resume(snapshot, **options)
        except CarouselError as error:
            raise CarouselError(f"{given_.resume}: {error}") from error
    engine = model.engine(given_.backend or AUTO)
    if given_.prime is None:
        return engine.stream(**options)
    prime = read_primer(given_.prime, model.tokenizer.medium)
    if isinstance(prime, str):
        known = str(model.tokenizer.decode(model.tokenizer.encode(prime)[:-1]))
        unknown = set(prime) - set(known)
        if unknown == set(prime):
            raise CarouselError(f"no character of {prime[:20]!r} is known to this checkpoint; write what it has read")
        if unknown:
            print(f"unknown to this checkpoint: {' '.join(sorted(unknown))}", file=sys.stderr)
        print(known, end="", flush=True)
    return engine.stream(prime, **options)


def seconds_of(score: Score) -> float:
    """Seconds from the start to the end of the last note."""
    return score.clock().seconds(score.end_ticks)


def check(given_: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Find out before the work what could not be done after it."""
    music = tokenizer.medium == "music"
    if not music and (given_.bars is not None or given_.seconds is not None):
        raise CarouselError("--bars and --seconds are for music; give --tokens")
    if given_.bars is not None and tokenizer.kind == "performance":
        raise CarouselError("a performance has no bars; give --seconds")
    if given_.output is not None:
        sinks.check(given_.output, Score if music else str)
    if given_.save is not None and not given_.save.parent.is_dir():
        raise CarouselError(f"{given_.save}: the folder {given_.save.parent} does not exist; make it first")


def sample(given_: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given_.checkpoint)
    tokenizer, path = model.tokenizer, given_.output
    check(given_, tokenizer)
    stream = start(given_, model)
    # The past is wanted for the file, and for the tempo that it left behind.
    kept: list[Event] = list(stream.past()) if path is not None or tokenizer.medium == "music" else []
    clock = Clock(tokenizer.ticks_per_quarter)
    for event in kept:
        if isinstance(event, Tempo):
            clock.set(event)
    if given_.bars is not None:
        events = until_bars(stream, given_.bars, given_.chunk)
    elif given_.seconds is not None:
        limit = clock.seconds(stream.horizon_ticks) + given_.seconds
        events = until_seconds(stream, limit, clock, given_.chunk)
    else:
        tokens = DEFAULT_TOKENS if given_.tokens is None and path is not None else given_.tokens
        events = until_tokens(stream, tokens, given_.chunk)
    try:
        for event in events:
            if isinstance(event, str):
                print(event, end="", flush=True)
            elif path is None:
                if isinstance(event, Tempo):
                    clock.set(event)
                print(line(event, clock, tokenizer.voices), end="", flush=True)
            if path is not None:
                kept.append(event)
    except KeyboardInterrupt:
        if path is None and given_.save is None:
            raise
        print("stopped; keeping what there is", file=sys.stderr)
        stream.rewind(0)  # a token that was half drawn is drawn again
        kept = list(stream.past()) if path is not None else []
    if path is not None:
        piece = tokenizer.collect(kept)
        sinks.write(piece, path)
        extent = f"{len(piece):,} characters" if isinstance(piece, str) else f"{seconds_of(piece):.0f} s of music"
        print(f"{path}: {extent}, seed {stream.options.seed}", file=sys.stderr)
    for name, count in stream.yielded.items():
        times = "once" if count == 1 else f"{count:,} times"
        print(f"{flag(name)} yielded {times}, where nothing could follow that keeps to it", file=sys.stderr)
    if given_.save is not None:
        stream.snapshot().save(given_.save)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("sample", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--tokens", type=command.positive, metavar="N", help="stop after N tokens")
    length.add_argument("--seconds", type=command.positive_seconds, metavar="S", help="stop after S seconds of music")
    length.add_argument("--bars", type=command.positive, metavar="B", help="stop after B bars of music")
    add_arguments(parser, SamplingOptions)
    parser.add_argument("--prime", metavar="TEXT|FILE", help="go on from this text, or from the piece in this file")
    parser.add_argument(
        "--chunk", type=command.positive, default=1, metavar="N", help="draw N tokens at a time (default: 1)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"write the whole stream to this file; without a length {DEFAULT_TOKENS} tokens",
    )
    parser.add_argument("--save", type=Path, metavar="FILE.take", help="at the end, save the stream to go on later")
    parser.add_argument("--resume", type=Path, metavar="FILE.take", help="go on with a saved stream")
    parser.add_argument(
        "--backend",
        choices=(AUTO, *BACKENDS),
        help="how to multiply (default: auto, which is int8; of a saved stream, the one that it began with)",
    )
    return command.run(parser, sample, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
