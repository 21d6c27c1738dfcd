"""The stream that the command line of `sample` asks for: a new one, perhaps primed or with a melody, or a saved one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from generator.cli import song, takes
from generator.cli.reporting import melody_omissions, primer_omissions
from generator.corpora.primer import read_primer
from generator.foundation.errors import CarouselError, Option
from generator.foundation.options import SamplingOptions, given
from generator.foundation.terminal import tell
from generator.model.backends import AUTO
from generator.music import files
from generator.music.score import Score
from generator.streaming.band import Band, Source
from generator.streaming.course import Progress
from generator.streaming.engine import Engine, Model, load
from generator.streaming.melody import brought
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Tokenizer

STYLE, DRUMS_STYLE = Option("style"), Option("drums_style")


def new_source(args: argparse.Namespace, model: Model, progress: Progress) -> Source:
    """A new stream as `new_stream`, with a drummer if one is asked for; raises as that, or if the two do not go
    together."""
    stream = new_stream(args, model, progress)
    return stream if args.drums is None else Band(stream, _drums(args, stream.options.seed))


def new_stream(args: argparse.Namespace, model: Model, progress: Progress) -> Stream:
    """A new stream, which has read the primer if one is given.

    Raises:
        CarouselError: the primer, the melody or an option is not one that the checkpoint can use.
    """
    options = _options_with_melody(args, model)
    engine = takes.engine_of(model, args.backend or AUTO, args.originality)
    if args.prime is None:
        return engine.stream(**options)
    prime = read_primer(args.prime, model.tokenizer.medium)
    if isinstance(prime, Score) and (args.keep or model.tokenizer.bar_lines):
        return _stream_of_song(args, model, engine, prime, options, progress)
    if isinstance(prime, str) and (unknown := unknown_in(prime, model.tokenizer)):
        tell(f"unknown to this checkpoint: {' '.join(unknown)}")
    stream = engine.stream(prime, progress=progress, **options)
    for sentence in primer_omissions(prime, model.tokenizer):
        tell(f"--prime: {sentence}")
    return stream


def unknown_in(prime: str, tokenizer: Tokenizer) -> list[str]:
    """The characters of a primer that a tokenizer of text does not know, in order.

    Raises:
        CarouselError: it knows none of them.
    """
    unknown = set(prime) - set(str(tokenizer.decode(tokenizer.encode(prime)[:-1])))
    if unknown == set(prime):
        raise CarouselError(
            f"no character of {prime[:20]!r} is known to this checkpoint; use characters of its training text"
        )
    return sorted(unknown)


def saved_source(args: argparse.Namespace, model: Model, snapshot: Snapshot, progress: Progress) -> Source:
    """The stream or band of a take, rewound if the command line says so, with the options that the command line
    changes. A drummer who is new to it plays from there on.

    Raises:
        CarouselError: the take does not fit the checkpoint or the corpus, or an option does not go with a saved stream.
    """
    if args.prime is not None:
        raise CarouselError("a resumed stream has its primer already; leave --prime out")
    if "melody" in args:
        raise CarouselError("a melody begins with its stream; leave --melody or --resume out")
    try:
        engine = takes.engine_of(model, args.backend or snapshot.backend, args.originality)
        stream = engine.resume(snapshot, progress=progress)
        source = takes.band_again(stream, snapshot, progress) or stream
        source.rewind(args.rewind or 0, bars=args.rewind_bars or 0)
        if (args.rewind or args.rewind_bars) and stream.position == len(snapshot.primer):
            tell("went back to the beginning")
        stream.set(**given(args, SamplingOptions))
    except CarouselError as error:
        raise CarouselError(f"{args.resume}: ", *error.args) from error
    if isinstance(source, Band):
        if args.drums is not None:
            raise CarouselError("this take has a drummer already; leave --drums out")
        if args.drums_style is not None:
            with _of_drummer():
                source.drums.set(style=args.drums_style)
    elif args.drums is not None:
        source = Band(stream, _drums(args, stream.options.seed), (stream.now_ticks,))
    return source


def _drums(args: argparse.Namespace, seed: int) -> Stream:
    """The new stream of the drummer that the command line asks for."""
    style = {} if args.drums_style is None else {"style": args.drums_style}
    engine = takes.engine_of(load(args.drums), args.backend or AUTO)
    with _of_drummer():
        return engine.stream(seed=seed, **style)


@contextmanager
def _of_drummer() -> Iterator[None]:
    """Let errors call the drummer's style by its own name."""
    try:
        yield
    except CarouselError as error:
        raise CarouselError(*(DRUMS_STYLE if part == STYLE else part for part in error.args)) from error


def _stream_of_song(
    args: argparse.Namespace, model: Model, engine: Engine, score: Score, options: dict[str, Any], progress: Progress
) -> Stream:
    """A stream that goes on with a song, or that writes the tracks which are not to be kept; says where they go."""
    path = Path(args.prime)
    if args.keep:
        begun = song.accompanied(path, score, args.keep, model, args.voice)
    else:
        begun = song.continued(path, score, model.tokenizer, options.get("tempo"))
    stream = engine.stream(begun.primer, song=begun.song, progress=progress, **{**begun.options, **options})
    sentences = primer_omissions(score, model.tokenizer) if begun.primer else []
    for sentence in [*begun.said, *sentences] if sentences or not (begun.primer and begun.song) else []:
        tell(f"--prime: {sentence}")
    return stream


def _options_with_melody(args: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The sampling options on the command line, with the melody of the first piece in the place of --melody's file.

    With a melody the stream ends with the piece and has the tempo of the file, unless other options are given.
    """
    options = given(args, SamplingOptions)
    if "melody" not in options:
        return options
    path = Path(options.pop("melody"))
    try:
        score = files.first(path)
        melody = model.melody(score, args.voice, args.transpose or 0)
    except CarouselError as error:
        raise CarouselError(*([] if str(path) in str(error) else [f"{path}: "]), *error.args) from error
    for sentence in melody_omissions(score, melody):
        tell(f"--melody: {sentence}")
    return brought(score, melody) | options
