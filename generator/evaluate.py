"""Measure a checkpoint on a corpus: negative log-likelihood in nats. Or ask which checkpoints explain a file best.

    python -m generator.evaluate checkpoints/shakespeare tinyshakespeare
    python -m generator.evaluate checkpoints/shakespeare tinyshakespeare --window 256
    python -m generator.evaluate checkpoints/shakespeare tinyshakespeare --dynamic
    python -m generator.evaluate checkpoints/bach bach-chorales --originality 0.9
    python -m generator.evaluate --rank tune.mid checkpoints/bach checkpoints/folk
    python -m generator.evaluate checkpoints/bach bach-chorales --units --keep
    python -m generator.evaluate checkpoints/shakespeare tinyshakespeare --like "Good my lord,"
    python -m generator.evaluate checkpoints/bach bach-chorales --unit 1.509
    python -m generator.evaluate checkpoints/bach bach-chorales --trace trace.safetensors

A figure holds for one split under one convention, which it names: one carried stream, as a stream is made; windows that
know nothing of what came before, as transformers are scored; or dynamic evaluation. Of a `performance` checkpoint a
token is an event, so its nats_per_token are what others call nats per event. A piece's style, where it has one that the
checkpoint knows, is a token as well. JSON, one object.

--units looks for units that follow what the tokenizer knows, such as the position in the bar, on the validation split,
and confirms them on the test split, or on the second half of the validation split if there is no test split.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import TaskProgressColumn, TimeRemainingColumn

from generator.analysis import following, moments
from generator.analysis.originality import originality
from generator.analysis.rank import open_and_rank
from generator.corpora import open_corpus
from generator.corpora.dataset import Split, TokenDataset, prepare
from generator.corpora.progress import bar, when_slow
from generator.foundation import places
from generator.foundation.atomic import atomic_folder
from generator.foundation.errors import CarouselError
from generator.foundation.options import add_arguments, given
from generator.foundation.recipes import DynamicOptions
from generator.foundation.terminal import printable
from generator.model.backends import BACKENDS, negative_log_likelihood
from generator.model.backends import prepare as prepare_backend
from generator.model.checkpoint import CARD, UNITS, Checkpoint
from generator.model.trace import check_path
from generator.streaming.engine import Model
from generator.streaming.inspecting import most_steps
from generator.streaming.stream import Stream
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.training import card
from generator.training.run_folder import claimed

CARRIED = "one carried stream from a cold start, END tokens included"
MASKED = f"{CARRIED}; as in a stream, only tokens that the grammar allows share the probability"
SIDE_BY_SIDE = "{lanes} streams side by side, each carried from a cold start, END tokens included"
BEGINNING = "{words}; of the {whole:,} tokens the first {part:,}"
EXAMPLE = "python -m generator.evaluate checkpoints/shakespeare tinyshakespeare"


def evaluate(
    checkpoint: Checkpoint,
    dataset: TokenDataset,
    split: str,
    backend: str | None = None,
    *,
    window: int | None = None,
    adapting: DynamicOptions | None = None,
    lanes: int = 1,
    masked: bool = False,
    reading: int | None = None,
    visible: bool = False,
) -> dict[str, Any]:
    """The scores of one split, as `evaluate` prints them. At most one of `backend`, `window`, `adapting` and `lanes`.

    Args:
        backend: read through this backend's steps, as a stream does, not through torch's LSTM.
        window: forget everything after each so many tokens.
        adapting: dynamic evaluation.
        lanes: cut the split into so many streams and read them side by side, which is faster.
        masked: share the probability among the tokens that the grammar allows; only with one carried stream.
        reading: read only the first so many tokens.
        visible: show a bar on standard error.

    Raises:
        CarouselError: the corpus has no such split, there is no such backend, or dynamic evaluation ran away.
    """
    whole = dataset.split(split)
    part = whole if reading is None else whole.beginning(reading)
    tokenizer = checkpoint.tokenizer
    grammar, features = tokenizer.grammar if masked else None, tokenizer.grammar.features_before(part.tokens)
    if window and checkpoint.config.feature_rows:
        raise CarouselError(f"{checkpoint.name} reads features of what came before a window; leave --window out")
    with bar("scoring", TaskProgressColumn(), TimeRemainingColumn(), visible=visible) as show:

        def progress(done: int, total: int) -> None:
            show(completed=done, total=total)

        if adapting:
            from generator.analysis import dynamic  # imports torch, which takes seconds

            words = (
                "dynamic evaluation (Krause et al. 2018, RMS with decay): one carried stream from a cold start whose "
                f"weights learn from each segment of {adapting.segment} tokens once it is scored; "
                f"rate {adapting.rate:g}, decay {adapting.decay:g}; END tokens included"
            )
            rest = dataset.split("train").tokens, tokenizer.grammar, adapting, progress
            found = dynamic.negative_log_likelihood(checkpoint.model(), part.tokens, tokenizer.start, *rest)
        elif window:
            words = (
                f"windows of {window} tokens that do not overlap, each from a zero state and its first token predicted "
                "from the start token; END tokens included"
            )
            found = checkpoint.model().negative_log_likelihood_in_windows(
                part.tokens, tokenizer.start, window, progress
            )
        elif backend:
            words = MASKED if masked else CARRIED
            read = prepare_backend(backend, checkpoint)
            found = negative_log_likelihood(read, part.tokens, tokenizer.start, grammar, features)
        else:
            lanes = min(lanes, len(part.tokens))
            words = SIDE_BY_SIDE.format(lanes=lanes) if lanes > 1 else MASKED if masked else CARRIED
            found = checkpoint.model().negative_log_likelihood(
                part.tokens, tokenizer.start, features=features, lanes=lanes, grammar=grammar, progress=progress
            )
    if len(part.tokens) < len(whole.tokens):
        words = BEGINNING.format(words=words, whole=len(whole.tokens), part=len(part.tokens))
    nats = float(found.sum()) * len(part.tokens) / len(found)  # lanes of equal length leave a few tokens out
    counts = {"tokens": len(part.tokens), **EXTENTS[tokenizer.medium](part, tokenizer)}
    scores: dict[str, Any] = {
        "corpus": dataset.facts.name,
        "split": split,
        "convention": words,
        **({"backend": backend} if backend else {}),
        "pieces": len(part),
    }
    for unit, count in counts.items():
        scores |= {unit: round(count, 3), f"nats_per_{unit.removesuffix('s')}": nats / count}
    if "characters" in counts:
        scores["bits_per_character"] = nats / counts["characters"] / math.log(2)
    if isinstance(tokenizer, FramesTokenizer) and words is CARRIED:
        from generator.model import frame_likelihood  # as above

        pieces = [part[index] for index in range(len(part))]
        scores["frames_convention"] = frame_likelihood.CONVENTION
        scores |= frame_likelihood.frame_scores(checkpoint.model(), tokenizer, pieces)
    return scores


def _characters(split: Split, tokenizer: Tokenizer) -> dict[str, float]:
    return {"characters": len(split.tokens) - len(split)}


def _notes_and_seconds(split: Split, tokenizer: Tokenizer) -> dict[str, float]:
    """Seconds are from each piece's start to the end of its last note."""
    notes, seconds = 0, 0.0
    for index in range(len(split)):
        score = tokenizer.decode(split[index])
        notes += len(score.notes)
        seconds += score.clock().seconds(score.end_ticks)
    return {"notes": notes, "seconds": seconds}


EXTENTS: dict[str, Callable[[Split, Tokenizer], dict[str, float]]] = {
    "text": _characters,
    "music": _notes_and_seconds,
}
"""For each medium, how much a split holds, unit by unit: negative log-likelihood is given per each of them."""


def default_split(dataset: TokenDataset) -> str:
    """The test split where there is one, else the validation split."""
    return "test" if "test" in dataset.splits else "validation"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("evaluate", __doc__)
    parser.add_argument(
        "places",
        nargs="*",
        metavar="CHECKPOINT … CORPUS",
        help="a folder or a name such as bach, and a name from data/corpora.toml, or a file or folder; "
        "with --rank checkpoints alone",
    )
    parser.add_argument("--split", help="train, validation or test (default: test where there is one, else validation)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--backend", choices=BACKENDS, help="read token by token through it, as a stream does")
    how.add_argument("--window", type=command.positive, metavar="N", help="forget everything after each N tokens")
    how.add_argument("--dynamic", action="store_true", help="go on learning from what has been scored")
    how.add_argument(
        "--originality",
        type=float,
        nargs="?",
        const=1.0,
        metavar="T",
        help="what do its streams at temperature T (default: 1) share with the training split?",
    )
    how.add_argument("--units", action="store_true", help="what does each of its units follow, on held-out pieces?")
    how.add_argument(
        "--unit", metavar="LAYER.UNIT", help="what does this one do, such as 1.27, and where is it strongest?"
    )
    how.add_argument(
        "--like",
        metavar="TEXT|FILE",
        help=f"where is its memory, in the training split, most as in the last {moments.SPAN} tokens of this?",
    )
    how.add_argument(
        "--trace", type=Path, metavar="FILE", help="write what gates and cells do in the split: .safetensors"
    )
    masked = "share the probability among the tokens that the grammar allows, as a stream does"
    parser.add_argument("--masked", action="store_true", help=masked)
    keep = "with --units: write them to the checkpoint, units.json and a table in its card"
    parser.add_argument("--keep", action="store_true", help=keep)
    how.add_argument("--rank", type=Path, metavar="FILE", help="which of the checkpoints explains this file best?")
    add_arguments(parser, DynamicOptions)
    return command.run(parser, _evaluate, arguments)


def _evaluate(given_: argparse.Namespace) -> None:
    options = given(given_, DynamicOptions)
    if options and not given_.dynamic:
        raise CarouselError(f"--{next(iter(options))} belongs to --dynamic; add that or leave it out")
    if given_.keep and not given_.units:
        raise CarouselError("--keep belongs to --units; add that or leave it out")
    if given_.masked and (given_.window or given_.dynamic):
        raise CarouselError("--masked is for one carried stream; leave --window and --dynamic out")
    if given_.split and (given_.units or given_.like is not None):
        raise CarouselError("--units reads the held-out splits and --like the training split; leave --split out")
    if given_.rank is not None:
        if not given_.places or given_.split:
            raise CarouselError("--rank takes a file and checkpoints, as in --rank tune.mid checkpoints/*; no --split")
        print(_json(open_and_rank(given_.rank, given_.places)))
        return
    if given_.trace is not None:
        check_path(given_.trace)
    if len(given_.places) != 2:
        raise CarouselError(f"give one checkpoint and one corpus, as in: {EXAMPLE}")
    checkpoint = Checkpoint.load(given_.places[0])
    adapting = DynamicOptions(**options) if given_.dynamic else None
    dataset = prepare(open_corpus(given_.places[1]), checkpoint.tokenizer)
    if given_.originality is not None:
        if given_.split:
            raise CarouselError("--originality compares streams with all splits; leave --split out")
        print(_json(originality(Model(checkpoint), dataset, given_.originality)))
        return
    if given_.units:
        print(_json(_units(checkpoint, dataset, places.checkpoint(given_.places[0]) if given_.keep else None)))
        return
    if given_.like is not None:
        with when_slow() as progress:
            print(_json(moments.like(Model(checkpoint), dataset, given_.like, progress)))
        return
    split = given_.split or default_split(dataset)
    if given_.unit is not None:
        with when_slow() as progress:
            print(_json(moments.of_unit(checkpoint, dataset, split, given_.unit, progress)))
        return
    if given_.trace is not None:
        print(_json(_trace(Model(checkpoint), dataset, split, given_.trace)))
        return
    how = {"window": given_.window, "adapting": adapting, "masked": given_.masked}
    print(json.dumps(evaluate(checkpoint, dataset, split, given_.backend, **how, visible=True), indent=2))


def _units(checkpoint: Checkpoint, dataset: TokenDataset, folder: Path | None) -> dict[str, Any]:
    """What `--units` prints; into `folder` go the file and the card, if it is given."""
    with when_slow() as progress:
        found = following.find(checkpoint, dataset, progress)
    if folder is not None:
        with claimed(folder, replacing=True), atomic_folder(folder) as made:
            (made / UNITS).write_text(found.to_json(), encoding="utf-8")
            (made / CARD).write_text(card.with_units(checkpoint.card, found), encoding="utf-8")
    return found.summary()


def _trace(model: Model, dataset: TokenDataset, split: str, path: Path) -> dict[str, Any]:
    whole, engine = dataset.split(split), model.engine()
    tokens = whole.beginning(most_steps(engine)).tokens
    with when_slow() as progress:
        Stream.trace_of(engine, tokens.tolist(), progress=progress).save(path)
    found = {"corpus": dataset.facts.name, "split": split, "tokens": len(tokens), "file": str(path)}
    missing = len(whole.tokens) - len(tokens)
    return found | ({"left_out": f"the other {missing:,} tokens: a trace takes at most 2 GB"} if missing else {})


def _json(found: dict[str, Any]) -> str:
    """JSON in which the names of notes, files and pieces can be read."""
    return printable(json.dumps(found, indent=2, ensure_ascii=False), keep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
