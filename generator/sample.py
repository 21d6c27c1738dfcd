r"""Stream from a checkpoint: text to standard output as it is made, music into a file.

    python -m generator.sample checkpoints/shakespeare --seed 7 --prime "ROMEO:"
    python -m generator.sample checkpoints/bach --seed 7 --bars 64 -o chorales.mid --save evening.take
    python -m generator.sample --resume evening.take --rewind-bars 8 --seed 8 --bars 16 -o other.mid --save other.take
    python -m generator.sample checkpoints/bach --midi-in Keyboard --midi-out Synth --click --save duet.take
    python -m generator.sample --tree evening.take other.take
    python -m generator.sample checkpoints/bach --melody tune.mid --best-of 8 -o harmony.mid
    python -m generator.sample --replay chorales.mid

The file given with -o holds the stream from its beginning, the primer included. Its suffix says what it becomes: .mid
.wav .musicxml .svg for music, .txt for text. A text without a length given goes on until Ctrl-C. What has a take, or a
MIDI or MusicXML file, finds its checkpoint by itself.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generator import sinks
from generator.cli import takes
from generator.cli.reporting import (
    losses,
    melody_losses,
    report,
    showing,
    tell_steps,
    tell_tempo,
    telling,
    whole_or_told,
)
from generator.corpora.primer import read_primer
from generator.corpora.progress import when_slow
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions, add_arguments, given
from generator.foundation.terminal import printable, say, tell
from generator.model.backends import AUTO, BACKENDS
from generator.music import files
from generator.music.score import Clock, Note, Score, Tempo, Voice, pitch_name
from generator.streaming.best import candidates
from generator.streaming.course import Progress
from generator.streaming.engine import Model, load
from generator.streaming.lengths import last_end, last_tick, until_bars, until_seconds, until_tokens
from generator.streaming.melody import brought
from generator.streaming.origin import Cut
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event, Tokenizer

DEFAULT_TOKENS = 2000
"""Of a file, where no length is given."""


def line(event: Event, clock: Clock, voices: Sequence[Voice]) -> str:
    """A note as a line: seconds from the start, length in seconds, voice, pitch."""
    if not isinstance(event, Note):
        return ""
    start, end = clock.seconds(event.start_ticks), clock.seconds(event.end_ticks)
    return f"{start:9.3f} {end - start:7.3f}  {printable(voices[event.voice].name)}  {pitch_name(event.pitch)}\n"


def resumed(given_: argparse.Namespace, model: Model, snapshot: Snapshot, progress: Progress) -> Stream:
    """The saved stream, rewound if the command line says so, and with the options that it changes."""
    if given_.prime is not None:
        raise CarouselError("a resumed stream has its primer already; leave --prime out")
    if "melody" in given_:
        raise CarouselError("a melody begins with its stream; leave --melody or --resume out")
    try:
        engine = takes.engine_of(model, given_.backend or snapshot.backend, given_.originality)
        stream = engine.resume(snapshot, progress=progress)
        stream.rewind(given_.rewind or 0, bars=given_.rewind_bars or 0)
        if (given_.rewind or given_.rewind_bars) and stream.position == len(snapshot.primer):
            tell("went back to the beginning")
        stream.set(**given(given_, SamplingOptions))
    except CarouselError as error:
        raise CarouselError(f"{given_.resume}: ", *error.args) from error
    return stream


def with_melody(given_: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The options that the command line names, with the melody of the file in its place: its first piece, which ends
    the stream and has its tempo where nothing else is asked."""
    options = given(given_, SamplingOptions)
    if "melody" not in options:
        return options
    path = Path(options.pop("melody"))
    try:
        score = files.first(path)
        melody = model.melody(score, given_.voice, given_.transpose or 0)
    except CarouselError as error:
        raise CarouselError(*([] if str(path) in str(error) else [f"{path}: "]), *error.args) from error
    for sentence in melody_losses(score, melody):
        tell(f"--melody: {sentence}")
    return brought(score, melody) | options


def begun(given_: argparse.Namespace, model: Model, progress: Progress) -> Stream:
    """A new stream, primed or cold."""
    options = with_melody(given_, model)
    engine = takes.engine_of(model, given_.backend or AUTO, given_.originality)
    if given_.prime is None:
        return engine.stream(**options)
    prime = read_primer(given_.prime, model.tokenizer.medium)
    if isinstance(prime, str):
        known = str(model.tokenizer.decode(model.tokenizer.encode(prime)[:-1]))
        unknown = set(prime) - set(known)
        if unknown == set(prime):
            raise CarouselError(f"no character of {prime[:20]!r} is known to this checkpoint; write what it has read")
        if unknown:
            tell(f"unknown to this checkpoint: {' '.join(sorted(unknown))}")
    stream = engine.stream(prime, progress=progress, **options)
    for sentence in losses(prime, model.tokenizer):
        tell(f"--prime: {sentence}")
    return stream


def choose(stream: Stream, model: Model, count: int, tokens: int | None, bars: int | None) -> None:
    """Give the stream the seed of its best continuation."""
    try:
        found = candidates(model, stream, count, tokens=tokens, bars=bars)
    except KeyboardInterrupt:
        tell("stopped before one was chosen; there is nothing to keep")
        raise
    unit = "note" if model.tokenizer.medium == "music" else "character"
    best, worst = found[0], found[-1]
    tell(
        f"best of {count}: seed {best.seed} with {best.nats_per_unit:.3f} nats a {unit}; the worst, seed {worst.seed}, "
        f"has {worst.nats_per_unit:.3f}"
    )
    stream.set(seed=best.seed)


def seconds_of(score: Score) -> float:
    """Seconds from the start to the end of the last note."""
    return score.clock().seconds(score.end_ticks)


def check(given_: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Find out before the work what could not be done after it."""
    music = tokenizer.medium == "music"
    if not music and (given_.bars is not None or given_.seconds is not None):
        raise CarouselError("--bars and --seconds are for music; give --tokens")
    if given_.bars is not None and tokenizer.kind in ("performance", "frames"):
        raise CarouselError(f"this checkpoint speaks {tokenizer.kind}, which has no bars; give --seconds")
    if given_.best_of is not None and given_.seconds is not None:
        raise CarouselError("--best-of compares stretches of --tokens or --bars; leave --seconds out")
    if "melody" not in given_ and (given_.voice is not None or given_.transpose is not None):
        raise CarouselError("--voice and --transpose are for a melody; name its file with --melody")
    if given_.midi_out is None and (given_.midi_in is not None or given_.click):
        raise CarouselError("--midi-in and --click need --midi-out, the port to play to; --midi-out list shows them")
    if given_.midi_out is not None and not music:
        raise CarouselError("this checkpoint speaks text; --midi-out is for music")
    if given_.output is not None:
        sinks.check(given_.output, Score if music else str)


def check_paths(given_: argparse.Namespace) -> None:
    """Find out whether what is written would replace what is read. A saved stream may go on in its own file."""
    if given_.save is not None:
        takes.check_take(given_.save)

    def named(*flags: str) -> dict[str, Path]:
        values = {flag: getattr(given_, flag.lstrip("-"), None) for flag in flags}
        return {flag: Path(value) for flag, value in values.items() if value is not None}

    output = {} if given_.output is None else {"-o": given_.output}
    command.keep_apart({**output, **named("--save")}, named("--prime", "--melody", "--originality"))
    command.keep_apart(output, named("--resume"))


def refuse_all_but(given_: argparse.Namespace, mode: str, *names: str) -> None:
    """Raise a CarouselError where the command line says more than a mode takes."""
    others = [name for name, value in vars(given_).items() if value is not None and name not in (mode, *names)]
    if others:
        raise CarouselError(f"--{mode} does not go with --{others[0].replace('_', '-')}; leave one out")


def work(given_: argparse.Namespace) -> None:
    """Do what the command line asks."""
    if given_.tree is not None:
        refuse_all_but(given_, "tree")
        takes.show(given_.tree)
    elif "list" in (given_.midi_in, given_.midi_out):
        from generator.live import port  # imports mido, as `duet` does

        print(port.listing("input" if given_.midi_in == "list" else "output"))
    elif given_.replay is not None:
        refuse_all_but(given_, "replay", "checkpoint", "output", "originality")
        takes.replay(given_.replay, given_.output, given_.checkpoint, given_.originality)
    else:
        with when_slow() as progress:
            sample(given_, progress)


def sample(given_: argparse.Namespace, progress: Progress) -> None:
    """Draw from a stream, new or saved, into what the command line names."""
    check_paths(given_)
    saved = None if given_.resume is None else Snapshot.load(given_.resume)
    if saved is None and (given_.rewind or given_.rewind_bars):
        raise CarouselError("--rewind and --rewind-bars are for a saved stream; name it with --resume")
    if given_.checkpoint is not None:
        model = load(given_.checkpoint)
    elif saved is not None:
        model = takes.find(saved, given_.resume)
    else:
        raise CarouselError("name a checkpoint, such as checkpoints/bach; --help shows examples")
    tokenizer, path, chunk = model.tokenizer, given_.output, given_.chunk or 0
    check(given_, tokenizer)
    stream = begun(given_, model, progress) if saved is None else resumed(given_, model, saved, progress)
    tokens = given_.tokens
    to_its_end = stream.options.melody and stream.options.at_end == "stop"
    to_file = path is not None and given_.midi_out is None
    if to_file and not to_its_end and tokens is given_.bars is given_.seconds is None:
        tokens = DEFAULT_TOKENS
    if given_.best_of is not None:
        choose(stream, model, given_.best_of, tokens, given_.bars)
    tell_tempo(stream)
    if saved is None and tokenizer.medium == "text":
        say(tokenizer.collect(list(stream.past())))
    # The past is wanted for the file, and for the tempo that it left behind.
    kept: list[Event] = list(stream.past()) if path is not None or tokenizer.medium == "music" else []
    clock = Clock(tokenizer.ticks_per_quarter)
    for event in kept:
        if isinstance(event, Tempo):
            clock.set(event)
    cut, so_far = None, 0.0  # seconds
    if given_.bars is not None:
        events, wanted, unit = until_bars(stream, given_.bars, chunk), given_.bars, "bars"
    elif given_.seconds is not None:
        # A primer is over when its last note is. Of a saved stream, notes that still sound go on beside the new ones.
        so_far = clock.seconds(max(stream.now_ticks, 0 if saved else last_end(kept)))
        limit = so_far + given_.seconds
        events, wanted, unit = until_seconds(stream, limit, clock, chunk), given_.seconds, "seconds"
    else:
        events, wanted, unit = until_tokens(stream, tokens, chunk), tokens, "tokens"
    if to_file and tokenizer.medium == "music" and wanted is not None:  # text is seen while it is drawn
        events = showing(events, stream, lambda ticks: clock.seconds(ticks) - so_far, progress, wanted, unit)
    if given_.originality is not None and (path is not None or not sys.stdout.isatty()):
        events = telling(events, stream, given_.originality)
    try:
        if given_.midi_out is not None:
            from generator.live import duet

            duet.perform(stream, events, clock, given_.midi_out, given_.midi_in, click=bool(given_.click))
            kept, events = list(stream.past()) if path is not None else [], iter(())
        for event in events:
            if isinstance(event, str):
                say(event)
            elif path is None:
                if isinstance(event, Tempo):
                    clock.set(event)
                print(line(event, clock, tokenizer.voices), end="", flush=True)
            if path is not None:
                kept.append(event)
        if given_.seconds is not None and given_.midi_out is None:
            ticks = last_tick(clock, limit)
            cut = Cut(min(ticks, last_end(kept)) if stream.ended else ticks)
    except KeyboardInterrupt:
        if path is None and given_.save is None:
            say("\n" if sys.stdout.isatty() else "")
            raise
        tell("stopped; keeping what there is")
        stream.rewind(0)  # what was half drawn is drawn again
        kept = list(stream.past()) if path is not None else []
    if given_.save is not None:  # first: where the file cannot be written, it can be drawn again from the take
        stream.snapshot().save(given_.save)
    if path is not None:
        piece = takes.piece_of(tokenizer, kept, stream.snapshot(), cut)
        with whole_or_told(path):
            sinks.write(piece, path, progress=progress)
        extent = f"{len(piece):,} characters" if isinstance(piece, str) else f"{seconds_of(piece):.0f} s of music"
        tell(f"{path}: {extent}, seed {stream.options.seed}")
    elif tokenizer.medium == "text" and sys.stdout.isatty():
        print()
    if given_.originality is not None:
        tell(report(stream, given_.originality))
    tell_steps(stream)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("sample", __doc__)
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
    add_arguments(parser, SamplingOptions)
    parser.add_argument("--prime", metavar="TEXT|FILE", help="go on from this text, or from the piece in this file")
    parser.add_argument("--voice", metavar="NAME", help="of a melody, the voice that has it (default: the first)")
    parser.add_argument("--transpose", type=int, metavar="N", help="move a melody by so many semitones first")
    parser.add_argument(
        "--best-of", type=command.positive, metavar="N", help="draw N continuations, and keep the likeliest"
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
    parser.add_argument("--save", type=Path, metavar="FILE.take", help="at the end, save the stream to go on later")
    parser.add_argument("--resume", type=Path, metavar="FILE.take", help="go on with a saved stream")
    back = parser.add_mutually_exclusive_group()
    back.add_argument("--rewind", type=command.positive, metavar="N", help="of it, take the last N tokens back first")
    back.add_argument(
        "--rewind-bars", type=command.positive, metavar="B", help="of it, take back what follows the last B bar lines"
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
    parser.add_argument("--midi-out", metavar="NAME", help="play live to this MIDI port; list shows them")
    parser.add_argument("--midi-in", metavar="NAME", help="answer what is played on this MIDI port; list shows them")
    parser.add_argument(
        "--click", action="store_const", const=True, help="with --midi-out: a metronome, and a bar ahead"
    )
    parser.add_argument(
        "--backend",
        choices=(AUTO, *BACKENDS),
        help="how to multiply (default: auto, which is int8; of a saved stream, the one that it began with)",
    )
    parser.add_argument(
        "--originality",
        metavar="CORPUS",
        help="say how much of it in a row stands in this corpus, and where; --max-copy needs it too",
    )
    return command.run(parser, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
