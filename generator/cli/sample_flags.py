"""The command line of `sample`: its flags, and the checks of their values before any work is done."""

from __future__ import annotations

import argparse
from pathlib import Path

from generator import sinks
from generator.cli import command, takes
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions, add_arguments
from generator.model import trace
from generator.model.backends import AUTO, BACKENDS
from generator.music.score import Score
from generator.tokenizers.base import Tokenizer

DEFAULT_TOKENS = 2000
"""The number of tokens that are drawn for a file if no length is given."""


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The parser of the command line.

    Args:
        description: the first part of its help.
    """
    parser = command.parser("sample", description)
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", metavar="CHECKPOINT", help="a folder, or a name such as bach"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--tokens", type=command.positive, metavar="N", help="stop after N tokens")
    length.add_argument(
        "--seconds",
        type=command.positive_seconds,
        metavar="S",
        help="stop after S seconds of music; the file is cut there",
    )
    length.add_argument("--bars", type=command.positive, metavar="B", help="stop after B bars of music")
    add_arguments(parser, SamplingOptions, "default: the checkpoint's own, or else ")
    parser.add_argument("--prime", metavar="TEXT|FILE", help="go on from this text, or from the piece in this file")
    parser.add_argument(
        "--keep",
        action="append",
        metavar="TRACK",
        help="with --prime FILE: this track of the song stays, by name or number, and the model writes the others",
    )
    parser.add_argument(
        "--voice", metavar="NAME", help="the voice that gets the melody (default: the first), or the track of --keep"
    )
    parser.add_argument("--transpose", type=int, metavar="N", help="transpose the melody by N semitones")
    parser.add_argument(
        "--drums",
        type=Path,
        metavar="CHECKPOINT",
        help="a drummer for music with bars: a checkpoint, such as drums",
    )
    parser.add_argument("--drums-style", metavar="STYLE", help="the drummer's style, such as rock or jazz")
    parser.add_argument(
        "--best-of", type=command.positive, metavar="N", help="draw N continuations, and keep the most probable one"
    )
    parser.add_argument(
        "--chunk",
        type=command.positive,
        metavar="N",
        help="draw N tokens at a time (default: 1, then more and more, up to 64)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"write the whole stream to this file; without a length {DEFAULT_TOKENS} tokens, or to a melody's end",
    )
    parser.add_argument(
        "--lead-sheet",
        action="store_const",
        const=True,
        help="with -o: of sheet music the melody with chord symbols alone",
    )
    parser.add_argument("--save", type=Path, metavar="FILE.take", help="at the end, save the stream to go on later")
    parser.add_argument("--resume", type=Path, metavar="FILE.take", help="go on with a saved stream")
    back = parser.add_mutually_exclusive_group()
    back.add_argument(
        "--rewind", type=command.positive, metavar="N", help="with --resume: take back the last N tokens first"
    )
    back.add_argument(
        "--rewind-bars",
        type=command.positive,
        metavar="B",
        help="with --resume: take back what follows the last B bar lines",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="draw a .mid, .musicxml or .take file again, into the file given with -o; without one, compare the bytes",
    )
    parser.add_argument(
        "--tree", type=Path, nargs="+", metavar="FOLDER|FILE", help="show how takes and files of music branch"
    )
    parser.add_argument(
        "--why",
        type=int,
        metavar="N",
        help="with --resume: what else could have come as token N, and which gates decided",
    )
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE.safetensors",
        help="write what gates, cells and hidden values did before each token that was drawn",
    )
    parser.add_argument("--midi-out", metavar="NAME", help="play live to this MIDI port; list shows them")
    parser.add_argument("--midi-in", metavar="NAME", help="answer what is played on this MIDI port; list shows them")
    parser.add_argument(
        "--click",
        action="store_const",
        const=True,
        help="with --midi-out: a metronome, which begins a bar before the music",
    )
    parser.add_argument(
        "--backend",
        choices=(AUTO, *BACKENDS),
        help="how to multiply (default: auto, which is int8; a saved stream keeps its own)",
    )
    parser.add_argument(
        "--originality",
        metavar="CORPUS",
        help="report the longest run that also occurs in this corpus; --max-copy needs it too",
    )
    return parser


def refuse_all_but(args: argparse.Namespace, mode: str, *names: str) -> None:
    """Check that the command line has no options beside a mode and those that go with it.

    Raises:
        CarouselError: it has another one.
    """
    others = [name for name, value in vars(args).items() if value is not None and name not in (mode, *names)]
    if others:
        raise CarouselError(f"--{mode} does not go with --{others[0].replace('_', '-')}; leave one out")


def check_paths(args: argparse.Namespace) -> None:
    """Check that no file is both written and read. Only a saved stream may be saved to its own file.

    Raises:
        CarouselError: a file is both, or a take or trace cannot be written under the name given.
    """
    if args.save is not None:
        takes.check_take(args.save)
    if args.trace is not None:
        trace.check_path(args.trace)

    def named(*flags: str) -> dict[str, Path]:
        values = {flag: getattr(args, flag.lstrip("-"), None) for flag in flags}
        return {flag: Path(value) for flag, value in values.items() if value is not None}

    output = {} if args.output is None else {"-o": args.output}
    command.keep_apart({**output, **named("--save", "--trace")}, named("--prime", "--melody", "--originality"))
    command.keep_apart({**output, **named("--trace")}, named("--resume"))


def check(args: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Check, before anything is drawn, that the options fit the checkpoint and one another.

    Raises:
        CarouselError: they do not, or the file given with -o cannot be written.
    """
    music = tokenizer.medium == "music"
    if not music and (args.bars is not None or args.seconds is not None):
        raise CarouselError("--bars and --seconds are for music; give --tokens")
    if args.bars is not None and not tokenizer.bar_lines:
        raise CarouselError(f"this checkpoint generates {tokenizer.kind}, which has no bars; give --seconds")
    if args.best_of is not None and args.seconds is not None:
        raise CarouselError("--best-of compares stretches of --tokens or --bars; leave --seconds out")
    if args.keep is not None and (args.prime is None or "melody" in args or not music):
        raise CarouselError("--keep is for the tracks of a song; name its file with --prime, without --melody")
    if args.drums_style is not None and args.drums is None and args.resume is None:
        raise CarouselError("--drums-style is for a drummer; name one with --drums, such as --drums drums")
    if "melody" not in args and (args.transpose is not None or (args.voice is not None and args.keep is None)):
        raise CarouselError("--voice and --transpose are for a melody; name its file with --melody")
    if args.midi_out is None and (args.midi_in is not None or args.click):
        raise CarouselError("--midi-in and --click need --midi-out, the port to play to; --midi-out list shows them")
    if args.midi_out is not None and not music:
        raise CarouselError("this checkpoint generates text; --midi-out is for music")
    if args.lead_sheet and all(voice.drum for voice in tokenizer.voices):
        raise CarouselError("this checkpoint generates no melody; leave --lead-sheet out")
    if args.lead_sheet and (args.output is None or sinks.SINKS.get(args.output.suffix.lower(), "")[-1] != "notation"):
        raise CarouselError("--lead-sheet needs a file of sheet music, such as -o sheet.pdf")
    if args.output is not None:
        sinks.check(args.output, Score if music else str)


def draws_file(args: argparse.Namespace) -> bool:
    """Whether the stream is drawn for a file alone, and not played live."""
    return args.output is not None and args.midi_out is None
