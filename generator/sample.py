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
from pathlib import Path

from generator import command, sinks
from generator.corpora.folder import MIDI_SUFFIXES
from generator.corpora.text import read_text
from generator.errors import CarouselError
from generator.music import midi, notation
from generator.music.score import Bar, Clock, Note, Score, Tempo, Voice, pitch_name
from generator.options import SamplingOptions, add_arguments, given
from generator.streaming.engine import Model, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event

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
        if exists and path.suffix.lower() in (*MIDI_SUFFIXES, *notation.FORMATS):
            raise CarouselError(f"{path}: a music file, but this checkpoint speaks text; give a text file or text")
        return read_text(path) if exists else text
    if not exists:
        raise CarouselError(
            f"{text}: no such file; a music checkpoint is primed with a MIDI, MusicXML, ABC or krn file"
        )
    if path.suffix.lower() in MIDI_SUFFIXES:
        return midi.read(path)
    if path.suffix.lower() in notation.FORMATS:
        return notation.read(path)[0]
    raise CarouselError(f"{path}: not a music file; this checkpoint is primed with MIDI, MusicXML, ABC or krn")


def until_bars(stream: Stream, count: int) -> Iterator[Event]:
    """The events of that many bars. The bar line that follows them is undone, so that the stream can go on with it."""
    for event in stream:
        count -= isinstance(event, Bar)
        if count < 0:
            stream.rewind(1)
            return
        yield event


def until_seconds(stream: Stream, limit: float, clock: Clock) -> Iterator[Event]:
    """The events that start before a time, in seconds from the start of the stream."""
    for event in stream:
        assert not isinstance(event, str)
        if isinstance(event, Tempo):
            clock.set(event)
        if clock.seconds(event.start_ticks) < limit:
            yield event
        if clock.seconds(stream.horizon_ticks) >= limit:
            return


def in_chunks(stream: Stream, tokens: int | None, size: int) -> Iterator[Event]:
    """The events of that many tokens, or all, drawn so many tokens at a time."""
    while not stream.ended and (tokens is None or tokens > 0):
        step = size if tokens is None else min(size, tokens)
        yield from list(stream.take(step))
        tokens = None if tokens is None else tokens - step


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
        return model.resume(Snapshot.load(given_.resume), **options)
    if given_.prime is None:
        return model.stream(**options)
    prime = read_primer(given_.prime, model.tokenizer.medium)
    stream = model.stream(prime, **options)
    if isinstance(prime, str):
        unknown = set(prime) - set(stream.history())
        if unknown == set(prime):
            raise CarouselError(f"no character of {prime[:20]!r} is known to this checkpoint; write what it has read")
        if unknown:
            print(f"unknown to this checkpoint: {' '.join(sorted(unknown))}", file=sys.stderr)
    return stream


def sample(given_: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given_.checkpoint)
    music = model.tokenizer.medium == "music"
    if given_.output is not None:
        sinks.check(given_.output, Score if music else str)
    if not music and (given_.bars is not None or given_.seconds is not None):
        raise CarouselError("--bars and --seconds are for music; give --tokens")
    stream = start(given_, model)
    voices = model.tokenizer.voices if music else ()
    clock = Clock(model.tokenizer.ticks_per_quarter if music else 1)
    path: Path | None = given_.output
    kept: list[Event] = list(stream.past()) if path is not None or given_.resume is not None else []
    for event in kept:
        if isinstance(event, Tempo):
            clock.set(event)
    if given_.bars is not None:
        events = until_bars(stream, given_.bars)
    elif given_.seconds is not None:
        events = until_seconds(stream, clock.seconds(stream.horizon_ticks) + given_.seconds, clock)
    else:
        tokens = given_.tokens if given_.tokens is not None or path is None else DEFAULT_TOKENS
        events = in_chunks(stream, tokens, given_.chunk)
    if not music and given_.prime is not None:
        print("".join(map(str, stream.past())), end="", flush=True)
    try:
        for event in events:
            if not music:
                print(event, end="", flush=True)
            elif path is None:
                if isinstance(event, Tempo):
                    clock.set(event)
                print(line(event, clock, voices), end="", flush=True)
            if path is not None:
                kept.append(event)
    except KeyboardInterrupt:
        if path is None and given_.save is None:
            raise
        print("stopped; keeping what there is", file=sys.stderr)
    if path is not None:
        sinks.write(model.tokenizer.collect(kept), path)
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
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the whole stream to this file")
    parser.add_argument("--save", type=Path, metavar="FILE.take", help="at the end, save the stream to go on later")
    parser.add_argument("--resume", type=Path, metavar="FILE.take", help="go on with a saved stream")
    return command.run(parser, sample, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
