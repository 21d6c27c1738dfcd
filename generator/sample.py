r"""Stream from a checkpoint: text to standard output as it is made, music into a file.

    python -m generator.sample checkpoints/shakespeare --seed 7 --prime "ROMEO:"
    python -m generator.sample checkpoints/bach --seed 7 --bars 64 -o chorales.mid --save evening.take
    python -m generator.sample --resume evening.take --rewind-bars 8 --seed 8 --bars 16 -o other.mid --save other.take
    python -m generator.sample checkpoints/bach --midi-in Keyboard --midi-out Synth --click --save duet.take
    python -m generator.sample checkpoints/bach --bars 16 --lead-sheet -o sheet.pdf
    python -m generator.sample --tree evening.take other.take
    python -m generator.sample checkpoints/bach --melody tune.mid --best-of 8 -o harmony.mid
    python -m generator.sample checkpoints/bach --prime song.mid --bars 16 -o longer.mid
    python -m generator.sample checkpoints/bach --prime song.mid --keep Lead -o other.mid
    python -m generator.sample folk --style jig --drums drums --drums-style rock --bars 32 -o band.mid
    python -m generator.sample --replay chorales.mid
    python -m generator.sample --resume evening.take --why 120

The file given with -o holds the stream from its beginning, the primer included. A primer of written music or drums is
there as its file has it, with all tracks, and the stream goes on in them. Its suffix chooses the format: .mid
.wav .ogg .flac .musicxml .abc .svg .pdf for music, .txt for text. Without a length, text is generated until Ctrl-C.
Options that are not given are those that the checkpoint's folder has in defaults.json; a saved stream keeps its own.
--resume and --replay need no CHECKPOINT: takes, and MIDI and MusicXML files written here, name the one that they were
made with.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from generator import sinks
from generator.cli import streams, takes
from generator.cli.reporting import (
    report_interventions,
    report_of_copies,
    report_tempo,
    reporting_an_interrupt,
    reporting_copies,
    showing_progress,
    tempo_change,
)
from generator.cli.sample_flags import DEFAULT_TOKENS, check, check_paths, draws_file, parser_of, refuse_all_but
from generator.corpora.progress import when_slow
from generator.foundation.errors import CarouselError
from generator.foundation.terminal import printable, say, tell
from generator.music.lead_sheet import lead_sheet
from generator.music.score import Clock, Note, Score, Tempo, Voice, pitch_name
from generator.streaming.band import Band, Source
from generator.streaming.best import candidates
from generator.streaming.course import Progress
from generator.streaming.engine import Model, load
from generator.streaming.lengths import in_order, last_end, last_tick, until_bars, until_seconds, until_tokens
from generator.streaming.origin import Cut
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event


def work(args: argparse.Namespace) -> None:
    """Do what the command line asks: show a tree, explain a token, list MIDI ports, replay a file, or draw."""
    if args.tree is not None:
        refuse_all_but(args, "tree")
        takes.show(args.tree)
    elif args.why is not None:
        explain(args)
    elif "list" in (args.midi_in, args.midi_out):
        from generator.live import port  # imports mido, which only this and a duet need

        print(port.listing("input" if args.midi_in == "list" else "output"))
    elif args.replay is not None:
        refuse_all_but(args, "replay", "checkpoint", "output", "originality")
        takes.replay(args.replay, args.output, args.checkpoint, args.originality)
    else:
        with when_slow() as progress:
            sample(args, progress)


def sample(args: argparse.Namespace, progress: Progress) -> None:
    """Draw from a new or a saved stream: to standard output, into a file, or live to a MIDI port.

    Raises:
        CarouselError: options contradict one another, a file cannot be read or written, or the checkpoint cannot do
            what is asked.
        KeyboardInterrupt: after Ctrl-C, if the stream goes into no file. Else what was drawn is written.
    """
    check_paths(args)
    saved = None if args.resume is None else Snapshot.load(args.resume)
    if saved is None and (args.rewind or args.rewind_bars):
        raise CarouselError("--rewind and --rewind-bars are for a saved stream; name it with --resume")
    model = model_of(args, saved)
    tokenizer, path = model.tokenizer, args.output
    check(args, tokenizer)
    if saved is None:
        source = streams.new_source(args, model, progress)
    else:
        source = streams.saved_source(args, model, saved, progress)
    band, stream = source if isinstance(source, Band) else None, source.leader
    begun = 0 if saved is None else stream.position
    tokens = args.tokens
    ends_with_melody = stream.options.melody and stream.options.at_end == "stop"
    if draws_file(args) and not ends_with_melody and tokens is args.bars is args.seconds is None:
        tokens = DEFAULT_TOKENS
    if args.best_of is not None:
        choose(stream, model, args.best_of, tokens, args.bars)
    report_tempo(stream)
    if saved is None and tokenizer.medium == "text":
        say(tokenizer.collect(list(stream.past())))
    # The past belongs into the file, and its last tempo still holds.
    kept: list[Event] = list(source.past()) if path is not None or tokenizer.medium == "music" else []
    clock = Clock(source.ticks_per_quarter)
    for event in kept:
        if isinstance(event, Tempo):
            clock.set(event)
    if args.seconds is not None and stream.song is not None and args.midi_out is None:
        args.seconds /= tempo_change(stream)  # in the file the song's own tempo holds, in the stream the nearest one
    begin = 0.0  # of the new music, in seconds from the start of the stream; needed with --seconds only
    if args.seconds is not None:
        # A primer ends with its last note. In a saved stream, notes that still sound overlap with the new ones.
        begin = clock.seconds(max(source.now_ticks, 0 if saved else last_end(kept)))
    events = events_of(args, source, tokens, clock, begin, progress)
    cut: Cut | None = None
    try:
        if args.midi_out is not None:
            from generator.live import duet  # imports mido

            duet.perform(source, events, clock, args.midi_out, args.midi_in, click=bool(args.click))
            kept = list(source.past()) if path is not None else []
        elif path is None:
            show(in_order(events, source) if band else events, clock, source.voices)
        else:
            for event in events:
                if isinstance(event, str):
                    say(event)
                kept.append(event)
        if args.seconds is not None and args.midi_out is None:
            ticks = last_tick(clock, begin + args.seconds)
            cut = Cut(min(ticks, last_end(kept)) if stream.ended else ticks)
    except KeyboardInterrupt:
        if path is None and args.save is None:
            say("\n" if sys.stdout.isatty() else "")
            raise
        tell("stopped; keeping what there is")
        source.rewind(0)  # completes the step that Ctrl-C has interrupted
        kept = list(source.past()) if path is not None else []
    if args.save is not None:  # before the file: if that cannot be written, it can be drawn again from the take
        source.snapshot().save(args.save)
    if tokenizer.medium == "text" and sys.stdout.isatty():
        print()
    if path is not None:
        piece = takes.piece_of(tokenizer, kept, source.snapshot(), cut, band=band)
        if args.lead_sheet and isinstance(piece, Score):
            piece = lead_sheet(piece)
        write(piece, path, stream.options.seed, progress)
    if args.trace is not None:
        stream.trace(begun).save(args.trace)
    if args.originality is not None:
        tell(report_of_copies(stream, args.originality))
    report_interventions(stream)


def explain(args: argparse.Namespace) -> None:
    """Print what could have come at a position of a saved stream, and what the gates contributed to what came.

    Raises:
        CarouselError: no take is named, it cannot be read, or nothing was drawn there.
    """
    if args.resume is None:
        raise CarouselError("--why explains a token of a saved stream; name it with --resume")
    refuse_all_but(args, "why", "checkpoint", "resume", "originality")
    saved = Snapshot.load(args.resume)
    with when_slow() as progress:
        stream = streams.saved_source(args, model_of(args, saved), saved, progress).leader
        found = stream.reasons(args.why)
        print(f"What could have come at token {args.why:,}, with its probability (* came):")
        for one in stream.alternatives(args.why):
            print(f"  {one.probability:6.3f} {'*' if one.came else ' '} {printable(one.words)}")
    print("How many nats less likely it would have been with a gate shut:")
    for reason in found:
        gate = reason.part.replace("_", " ")
        print(f"  {reason.nats:+7.3f}   {gate} of unit {reason.unit} in layer {reason.layer}")


def model_of(args: argparse.Namespace, saved: Snapshot | None) -> Model:
    """The model of the checkpoint that is named, or of the one that a saved stream was drawn from."""
    if args.checkpoint is not None:
        return load(args.checkpoint)
    if saved is not None:
        return takes.find(saved, args.resume)
    raise CarouselError("name a checkpoint, such as checkpoints/bach; --help shows examples")


def choose(stream: Stream, model: Model, count: int, tokens: int | None, bars: int | None) -> None:
    """Draw `count` continuations of a stream, and give it the seed of the most probable one."""
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


def events_of(
    args: argparse.Namespace, source: Source, tokens: int | None, clock: Clock, begin: float, progress: Progress
) -> Iterator[Event]:
    """The events to draw, up to the length that the command line gives. While they are drawn, the progress and copies
    from a corpus are reported on standard error."""
    chunk = args.chunk or 0
    if args.bars is not None:
        events, wanted, unit = until_bars(source, args.bars, chunk), args.bars, "bars"
    elif args.seconds is not None:
        events, wanted, unit = until_seconds(source, begin + args.seconds, clock, chunk), args.seconds, "seconds"
    else:
        events, wanted, unit = until_tokens(source, tokens, chunk), tokens, "tokens"
    stream = source.leader
    if draws_file(args) and stream.engine.tokenizer.medium == "music" and wanted is not None:  # text shows its progress
        events = showing_progress(events, stream, lambda ticks: clock.seconds(ticks) - begin, progress, wanted, unit)
    if args.originality is not None and (args.output is not None or not sys.stdout.isatty()):
        events = reporting_copies(events, stream, args.originality)
    return events


def show(events: Iterator[Event], clock: Clock, voices: Sequence[Voice]) -> None:
    """Print events as they are drawn: text as it is; of music each note as a line with its start and length in seconds,
    its voice and its pitch."""
    for event in events:
        if isinstance(event, str):
            say(event)
        elif isinstance(event, Tempo):
            clock.set(event)
        elif isinstance(event, Note):
            start, end = clock.seconds(event.start_ticks), clock.seconds(event.end_ticks)
            voice, pitch = printable(voices[event.voice].name), pitch_name(event.pitch)
            print(f"{start:9.3f} {end - start:7.3f}  {voice}  {pitch}", flush=True)


def write(piece: str | Score, path: Path, seed: int, progress: Progress) -> None:
    """Write the piece to a file, and report its length and its seed on standard error."""
    with reporting_an_interrupt(path):
        sinks.write(piece, path, progress=progress)
    if isinstance(piece, str):
        extent = f"{len(piece):,} characters"
    else:
        extent = f"{piece.clock().seconds(piece.end_ticks):.0f} s of music"
    tell(f"{path}: {extent}, seed {seed}")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return command.run(parser_of(__doc__), work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
