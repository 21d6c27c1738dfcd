"""Takes as documents: find the checkpoint that one needs, draw it again from its origin, show how takes branch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from generator import sinks
from generator.cli.command import keep_apart
from generator.corpora import open_corpus
from generator.corpora.copies import open_index
from generator.corpora.dataset import prepare
from generator.corpora.progress import when_slow
from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.foundation.terminal import printable, tell
from generator.model.checkpoint import Checkpoint
from generator.music import origin as provenance
from generator.music.marks import with_landmarks
from generator.music.score import Score
from generator.streaming import songs
from generator.streaming.band import Band
from generator.streaming.course import Progress
from generator.streaming.engine import Engine, Model, load
from generator.streaming.origin import Change, Cut, Injection, Origin, read_text
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers import from_json, instruments_of, with_instruments
from generator.tokenizers.base import Event, Tokenizer

if TYPE_CHECKING:
    from rich.tree import Tree

TAKE = ".take"
CHANGES_SHOWN = 3
"""In one line of the tree."""
LONGEST_SHOWN = 40
"""Characters of an option in it."""


def origin_of(path: Path) -> tuple[Origin, Cut | None, dict[str, int], bool]:
    """Where a take, or what a file of music carries, comes from; of a file, also where it is cut, its instruments where
    they are not those of the vocabulary, and whether it has landmarks.

    Raises:
        CarouselError: the file cannot be read, or carries nothing of the kind.
    """
    suffix = path.suffix.lower()
    if suffix in sinks.SINKS and suffix not in provenance.SUFFIXES:
        raise CarouselError(f"{path}: a {suffix} file cannot tell where it comes from; name its take or its .mid")
    if suffix not in provenance.SUFFIXES:
        return Snapshot.load(path), None, {}, True
    text = provenance.read(path)
    if not text:
        raise CarouselError(f"{path}: carries no provenance; only what Carousel wrote can be drawn again")
    try:
        return read_text(text)
    except CarouselError as error:
        raise CarouselError(f"{path}: ", *error.args) from error


def find(origin: Origin, path: Path | None = None) -> Model:
    """The checkpoint that an origin names, by its fingerprint, among those that need no path.

    Args:
        path: the file that has the origin, where one can name the folder of its checkpoint instead.

    Raises:
        CarouselError: it is not among them.
    """
    folders = [folder for parent in places.folders() for folder in places.checkpoints_in(parent).values()]
    for folder in sorted(folders, key=lambda folder: folder.name != origin.checkpoint):
        try:
            checkpoint = Checkpoint.load(folder)
        except CarouselError:  # another one that is broken, or half trained
            continue
        if checkpoint.fingerprint == origin.fingerprint:
            return Model(checkpoint)
    missing = f"it needs the checkpoint {origin.wanted}, which is not there; put it into {places.CHECKPOINTS}/"
    raise CarouselError(missing if path is None else f"{path}: {missing} or name its folder")


def engine_of(model: Model, backend: str, corpus: str | None = None) -> Engine:
    """The model's engine; where a corpus is named, one that looks for copies of it.

    Raises:
        CarouselError: there is no such backend or corpus, or it is of another medium than the model.
    """
    if corpus is None:
        return model.engine(backend)
    return Engine(model, backend, index=open_index(prepare(open_corpus(corpus), model.tokenizer)))


def band_again(leader: Stream, origin: Origin, progress: Progress) -> Band | None:
    """The band of a leader that was drawn again, or resumed from a take, with its drummer; None if it has none.

    Raises:
        CarouselError: the drummer's checkpoint is not there, or its part is damaged.
    """
    if origin.drums is None:
        return None
    engine = find(origin.drums).engine(origin.drums.backend)
    if isinstance(origin.drums, Snapshot):
        return Band(leader, engine.resume(origin.drums, progress=progress), origin.entries)
    return Band(leader, engine.replay(origin.drums, progress=progress), origin.entries)


def check_take(path: Path) -> None:
    """Find out before the work whether a take can be saved there.

    Raises:
        CarouselError: the name is not that of a take, or the folder does not exist.
    """
    if path.suffix.lower() != TAKE:
        raise CarouselError(f"{path}: the name of a take ends in {TAKE}; give it that")
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")


def piece_of(
    tokenizer: Tokenizer,
    events: Iterable[Event],
    origin: Origin,
    cut: Cut | None,
    landmarks: bool = True,
    band: Band | None = None,
) -> str | Score:
    """What a file holds: a stream's events, or those of a band, of music those before the cut, with their origin. Where
    that has a song, the file holds the song and the events that were drawn.

    Args:
        landmarks: whether a marker and a key stand where a piece begins; a song has its own.

    Raises:
        CarouselError: the song of the origin is damaged.
    """
    kept = [event for event in events if isinstance(event, str) or cut is None or event.start_ticks < cut.ticks]
    text = origin.text(cut, instruments_of(tokenizer), landmarks and tokenizer.medium == "music" and not origin.song)
    if origin.song is not None:
        return songs.piece_of(tokenizer, kept, origin, cut, text)
    piece: str | Score = tokenizer.collect(kept) if band is None else band.collect(kept, tokenizer.voices)
    if isinstance(piece, str):
        return piece
    if cut is not None and not cut.overhangs:
        lengths = (min(note.duration_ticks, cut.ticks - note.start_ticks) for note in piece.notes)
        notes = (replace(note, duration_ticks=ticks) for note, ticks in zip(piece.notes, lengths, strict=True))
        piece = replace(piece, notes=tuple(notes), length_ticks=cut.ticks)
    return replace(with_landmarks(piece) if landmarks else piece, origin=text)


def replay(path: Path, output: Path | None = None, checkpoint: Path | None = None, corpus: str | None = None) -> None:
    """Draw what is at `path` again: into `output`, or else only to see whether the same bytes come out.

    Args:
        checkpoint: the folder of the one that it needs; without it, it is looked for.
        corpus: the one that it was kept from copying.

    Raises:
        CarouselError: the origin, the checkpoint or the corpus is missing, the output is the same file, or, without
            one, other bytes came out.
    """
    if output is not None:
        keep_apart({"-o": output}, {"--replay": path})
    origin, cut, instruments, landmarks = origin_of(path)
    model = find(origin, path) if checkpoint is None else load(checkpoint)
    suffix = (output or path).suffix.lower()
    as_take = suffix == TAKE or (output is None and isinstance(origin, Snapshot))
    if output is not None and as_take:
        check_take(output)
    elif output is not None:
        sinks.check(output, str if model.tokenizer.medium == "text" else Score)
    engine = engine_of(model, origin.backend, corpus)
    before = path.read_bytes()
    with when_slow() as progress:
        try:
            stream = engine.replay(origin, progress=progress)
            band = band_again(stream, origin, progress)
        except CarouselError as error:
            raise CarouselError(f"{path}: ", *error.args) from error
    with TemporaryDirectory() as folder:
        target = output or Path(folder) / path.name
        if as_take:
            again = replace((band or stream).snapshot(), checkpoint=origin.checkpoint)  # its folder may have a new name
            if again.drums and origin.drums:
                again = replace(again, drums=replace(again.drums, checkpoint=origin.drums.checkpoint))
            again.save(target)
        else:
            tokenizer = model.tokenizer
            if not isinstance(origin, Snapshot):  # a file keeps its instruments, whatever the checkpoint's are now
                tokenizer = with_instruments(from_json(tokenizer.to_json()), instruments)
            piece = piece_of(tokenizer, (band or stream).past(), origin, cut, landmarks, band)
            sinks.write(piece, target, progress=progress)
        after = target.read_bytes()
    if output is not None:
        tell(f"{output}: {origin.position:,} tokens of {model.checkpoint.name}")
    if suffix == path.suffix.lower():
        if before == after:
            tell(f"{path}: identical: the same bytes come out (SHA-256 {sha256(after).hexdigest()})")
        elif output is not None:
            tell(f"{path}: edited: other bytes come out")
        else:
            raise CarouselError(f"{path}: edited: other bytes come out; -o FILE keeps them")


@dataclass
class Branch:
    """A stretch of a stream that nobody touched: what ends in it, and what changes go on from it."""

    ends: list[tuple[int, str]] = field(default_factory=list)
    changes: dict[Change | Injection, Branch] = field(default_factory=dict)


Root = tuple[str, str, tuple[int, ...]]
"""Fingerprint, backend and primer: what streams with a common past have in common at their first token."""


def grow(origins: Iterable[tuple[str, Origin]]) -> dict[Root, Branch]:
    """The prefix trees of timelines: two streams are one until the first change that is not in both."""
    roots: dict[Root, Branch] = {}
    for name, origin in origins:
        branch = roots.setdefault((origin.fingerprint, origin.backend, origin.primer), Branch())
        # What was changed before the first token was drawn, was never in force.
        timeline = {max(position, len(origin.primer)): options for position, options in origin.timeline}
        touched: list[Change | Injection] = sorted([*timeline.items(), *origin.injected], key=itemgetter(0))
        for change in touched:
            branch = branch.changes.setdefault(change, Branch())
        branch.ends.append((origin.position, name))
    return roots


def draw(branch: Branch, tree: Tree) -> None:
    """Write a branch into a tree of lines: first what ends in it, then what goes on from it, by position."""
    from rich.text import Text  # only the tree needs it, and it takes a while

    waiting: list[tuple[Branch, SamplingOptions | None, Tree]] = [(branch, None, tree)]
    while waiting:
        branch, options, tree = waiting.pop()
        for position, name in sorted(branch.ends):
            tree.add(Text(printable(f"{name}  {position:,} tokens")))
        for change, following in sorted(branch.changes.items(), key=lambda item: item[0][0]):
            lines, after = [difference(options, change)], in_force(options, change)
            while not following.ends and len(following.changes) == 1:
                ((change, following),) = following.changes.items()
                lines.append(difference(after, change))
                after = in_force(after, change)
            if len(lines) > CHANGES_SHOWN:
                lines[1:-1] = [f"{len(lines) - 2} more changes"]
            waiting.append((following, after, tree.add(Text(printable("; ".join(lines))))))


def in_force(before: SamplingOptions | None, change: Change | Injection) -> SamplingOptions | None:
    """The options after a change."""
    return before if isinstance(change[1], tuple) else change[1]


def difference(before: SamplingOptions | None, change: Change | Injection) -> str:
    """What a change changes, as words; a first one, beside the seed, of what is not the default."""
    if isinstance(change[1], tuple):
        return f"at {change[0]:,}: hears {len(change[1]):,} tokens"
    old, new = asdict(before or SamplingOptions()), asdict(change[1])
    names = [name for name in new if old[name] != new[name] or (before is None and name == "seed")]
    return f"at {change[0]:,}: {', '.join(f'{name} {str(new[name])[:LONGEST_SHOWN]}' for name in names)}"


def show(paths: Sequence[Path]) -> None:
    """Print the trees of the takes and files of music at these paths, or in these folders.

    Raises:
        CarouselError: there is none.
    """
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    origins: dict[Path, Origin] = {}
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in inside:
            if file.suffix.lower() in (TAKE, *provenance.SUFFIXES) or file is path:
                try:
                    origins[file] = origin_of(file)[0]
                except CarouselError as error:
                    tell(error)
    if not origins:
        raise CarouselError(f"{paths[0]}: no take to show; name takes, or a folder of them")
    names = {origin.fingerprint: origin.wanted for origin in origins.values()}
    for (fingerprint, backend, primer), branch in grow((str(path), origin) for path, origin in origins.items()).items():
        tree = Tree(Text(printable(f"{names[fingerprint]}, {backend}, primer of {len(primer):,} tokens")))
        draw(branch, tree)
        Console().print(tree)
