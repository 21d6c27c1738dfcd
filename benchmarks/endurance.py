"""Does music last? An hour of one stream, never reset, in windows of five minutes, beside its corpus. JSON, one object.

    python -m benchmarks.endurance checkpoints/bach bach-chorales --picture docs/endurance-bach.svg

The statistics are those of `music_statistics.py`; of the distributions, the area that a window's histogram shares with
the whole corpus's, of which no amount is too much. They are compared with two ranges, from the 5th percentile to
the 95th. `pieces`: the mean of the window's pieces, each measured by itself and weighed by its seconds, beside the
corpus's pieces; what a window's edge cuts off is a piece too. `windows`, narrower: the window as a whole beside
stretches of the corpus as long, its pieces of all splits one after another, by chance, each in a key by chance, as the
model has learned them; one in ten of the corpus's own lies outside. `drift` is how far the mean of the last quarter of
the stream's windows lies from that of the first, in standard deviations of the corpus's.

Then many streams side by side, one a seed, with the governor and without: which of them get stuck in a loop or in
silence, and where, in seconds, as `generator/tokenizers/loop_detector.py` defines it; how often the governor stepped
in; and how many of the figures of their windows lie outside the corpus's range. And which pieces of the corpus would be
called stuck.

    python -m benchmarks.endurance checkpoints/bach bach-chorales --temperature 0.9 --minutes 60
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.likeness import area, music_model
from benchmarks.measuring import optional, parser, report, rounded, watched
from benchmarks.music_statistics import HISTOGRAMS, cuts, features, names
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.music.score import Clock, Score, Tempo
from generator.streaming.engine import Model
from generator.streaming.jobs import CHUNK
from generator.tokenizers.loop_detector import stretches

WINDOW_SECONDS = 300.0
COLOURS = {"pieces": "#1f5f8b", "windows": "#b3541e"}
RANGES = tuple(COLOURS)
Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""By range: the statistics of pieces, or of windows by their pieces; and of windows as wholes."""


def played(model: Model, count: int, seconds: float, **options: Any) -> list[tuple[Score, int]]:
    """What so many streams, one a seed, play in the first `seconds` of music, and little more; and how often the
    governor stepped in."""
    engine = model.engine()
    streams = [engine.stream(seed=seed, at_end="next", **options) for seed in range(count)]
    events: dict[Any, list[Any]] = {stream: [] for stream in streams}
    clocks = {stream: Clock(model.tokenizer.ticks_per_quarter) for stream in streams}
    going = streams
    while going:
        for stream, new in zip(going, engine.pull(going, CHUNK), strict=True):
            events[stream] += new
            for event in new:
                if isinstance(event, Tempo):
                    clocks[stream].set(event)
        going = [stream for stream in going if clocks[stream].seconds(stream.horizon_ticks) < seconds]
    return [(model.tokenizer.collect(events[stream]), stream.lifts) for stream in streams]


def pieces(dataset: TokenDataset, most_hours: float) -> Iterator[tuple[str, Any, Score]]:
    """The corpus's pieces by chance and in random variants, up to so many hours: name, tokens, and what these say."""
    random = np.random.default_rng(0)
    every = [(dataset.split(split), index) for split in dataset.splits for index in range(len(dataset.split(split)))]
    left = 3600 * most_hours
    for place in watched(random.permutation(len(every)), "corpus"):
        split, index = every[place]
        if left > 0:
            tokens = dataset.tokenizer.augment(split[index], random)
            piece = dataset.tokenizer.decode(tokens)
            left -= piece.clock().seconds(piece.end_ticks)
            yield split.names[index], tokens, piece


def windows(score: Score) -> list[Row]:
    return [features(*cut) for cut in cuts(score, WINDOW_SECONDS)]


def heard(score: Score, most: int) -> Rows:
    """A stream's first windows: as means of their pieces, and as wholes."""
    found = list(islice(cuts(score, WINDOW_SECONDS), most))
    return {"pieces": [mean(split(*cut)) for cut in found], "windows": [features(*cut) for cut in found]}


def split(stretch: Score, seconds: float) -> Iterator[tuple[Row, float]]:
    """What each of its pieces is, and how many seconds it lasts."""
    at = stretch.clock().seconds
    ends = sorted({end.start_ticks for end in stretch.piece_ends if 0 < end.start_ticks < stretch.end_ticks})
    for start, end in pairwise((0, *ends, None)):
        lasts = (seconds if end is None else at(end)) - at(start)
        yield features(stretch.between(start, stretch.end_ticks if end is None else end), lasts), lasts


def mean(stretches: Iterable[tuple[Row, float]]) -> Row:
    """Of what can be said of each, weighed by its seconds; of the distributions, all notes together."""
    found: Row = {}
    pieces = list(stretches)
    for name in pieces[0][0]:
        if name in HISTOGRAMS:
            found[name] = np.sum([row[name] for row, _ in pieces], axis=0)
        else:
            said = [(row[name], seconds) for row, seconds in pieces if not np.isnan(row[name])]
            length = sum(seconds for _, seconds in said)
            found[name] = sum(value * seconds for value, seconds in said) / length if said else np.nan
    return found


def of_corpus(dataset: TokenDataset, most_hours: float) -> tuple[Rows, Row]:
    """Its pieces one by one, and its windows, played one after another an hour at a time; which pieces are stuck."""
    rows: Rows = {"pieces": [], "windows": []}
    found: Row = {"loop": [], "silence": []}
    hour, seconds = [], 0.0
    for name, tokens, piece in pieces(dataset, most_hours):
        for kind in sorted({stretch.kind for stretch in stretches(piece)}):
            found[kind].append(name)
        lasts = piece.clock().seconds(piece.end_ticks)
        rows["pieces"].append(features(piece, lasts))
        hour.append(tokens)
        seconds += lasts
        if seconds >= 3600:
            rows["windows"] += windows(dataset.tokenizer.decode(np.concatenate(hour)))
            hour, seconds = [], 0.0
    if hour:
        rows["windows"] += windows(dataset.tokenizer.decode(np.concatenate(hour)))
    return rows, found | {name: len(rows[name]) for name in RANGES}


def compare(stream: Rows, corpus: Rows, statistics: list[str]) -> list[Row]:
    """A row a statistic: the corpus's ranges, the values of the stream's windows beside each, how many lie inside, and
    how far the windows as wholes drift."""
    found = []
    for name in statistics:
        row: Row = {"statistic": name}
        for kind in RANGES:  # windows last: they are what drifts
            ours, theirs = ([one[name] for one in rows[kind]] for rows in (stream, corpus))
            if name in HISTOGRAMS:
                whole = np.sum(theirs, axis=0)
                ours, theirs = ([area(one, whole) if one.any() else 0.0 for one in rows] for rows in (ours, theirs))
            low, high = np.nanpercentile(theirs, (5, 95))
            high = 1.0 if name in HISTOGRAMS else high
            inside = sum(bool(low - 1e-9 <= value <= high + 1e-9) for value in ours)
            row[kind] = {"low": figure(low), "high": figure(high), "inside": inside, "values": list(map(figure, ours))}
        quarter = max(1, len(ours) // 4)
        away = np.mean(ours[-quarter:]) - np.mean(ours[:quarter])
        found.append(row | {"drift": figure(away / max(np.nanstd(theirs), 1e-9))})
    return found


def outside(rows: list[Row]) -> Row:
    """How many figures lie outside each of the corpus's ranges, and of how many."""
    count = sum(len(row["windows"]["values"]) for row in rows)
    return {kind: count - sum(row[kind]["inside"] for row in rows) for kind in RANGES} | {"of": count}


def figure(value: float) -> float | None:
    """As JSON can say it."""
    return None if np.isnan(value) else rounded(value)


def stuck(model: Model, seeds: int, minutes: float, corpus: Rows, **options: Any) -> Row:
    """Which of the seeds get stuck, each with its seed and where, in seconds; how often the governor stepped in; how
    many of their windows' figures lie outside the corpus's range."""
    found: Row = {**options, "seeds": seeds, "minutes": minutes, "stuck": 0, "loop": [], "silence": [], "lifts": 0}
    rows: Rows = {"pieces": [], "windows": []}
    for seed, (score, lifts) in enumerate(watched(played(model, seeds, 60 * minutes, **options), "seeds")):
        where = stretches(score, round(60_000 * minutes))
        found["stuck"] += bool(where)
        found["lifts"] += lifts
        for kind, figures in heard(score, int(60 * minutes / WINDOW_SECONDS)).items():
            rows[kind] += figures
        for one in where:
            found[one.kind].append({"seed": seed, "from": one.start_ms / 1000, "to": one.end_ms / 1000})
    return found | {"outside": outside(compare(rows, corpus, names(model.tokenizer)) if rows["windows"] else [])}


def draw(rows: list[Row], path: Path) -> None:
    """The picture: every statistic over the hour, on the corpus's range; the same bytes for the same figures."""
    matplotlib, figures = map(optional, ("matplotlib", "matplotlib.figure"))
    style = {"svg.hashsalt": "carousel", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}
    across = -(-len(rows) // 2)
    with matplotlib.rc_context(style):
        picture = figures.Figure(figsize=(1.9 * across, 3.8), layout="constrained")
        panels = picture.subplots(2, across, sharex=True).flat
        for panel, row in zip(panels, rows, strict=False):  # an odd number leaves one empty
            shown: list[float] = []
            for kind, colour in COLOURS.items():
                low, high, values = row[kind]["low"], row[kind]["high"], np.array(row[kind]["values"], float)
                minutes = WINDOW_SECONDS / 60 * (np.arange(len(values)) + 0.5)
                panel.axhspan(low, high, color=colour, alpha=0.14, linewidth=0)
                panel.plot(minutes, values, "o-", color=colour, markersize=2.5, linewidth=1)
                shown += [low, high, *values]
            name = row["statistic"].replace("_", " ")
            panel.set_title(f"{name}, overlap" if row["statistic"] in HISTOGRAMS else name, fontsize=8)
            low, high = np.nanmin(shown), np.nanmax(shown)
            room = 0.1 * (high - low) or 0.1
            panel.set_ylim(low - room, high + room)
            panel.spines[["top", "right"]].set_visible(False)
        picture.supxlabel(
            "minutes\n"
            "blue: the mean of a window's pieces, and what nine of ten of the corpus's pieces are\n"
            "brown: the window as a whole, and what nine of ten stretches of the corpus are",
            fontsize=8,
        )
        with atomic_write(path) as file:
            picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def endurance(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = music_model(given.checkpoint)
    options = {"temperature": given.temperature, "top_p": given.top_p}
    dataset = prepare(open_corpus(given.corpus), model.tokenizer)
    corpus, about = of_corpus(dataset, given.corpus_hours)
    count = round(3600 * given.hours / WINDOW_SECONDS)
    if not corpus["windows"] or not count:
        raise CarouselError("nothing fills a window of five minutes; give more --hours, or a longer corpus")
    ((stream, _),) = played(model, 1, (count + 1) * WINDOW_SECONDS, **options)
    rows = compare(heard(stream, count), corpus, names(model.tokenizer))
    if given.picture is not None:
        draw(rows, given.picture)
    seeds = [stuck(model, given.seeds, given.minutes, corpus, **options, governor=on) for on in (True, False)]
    report("endurance", given, "muspy", rows=rows, outside=outside(rows), streams=seeds, corpus=about)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("endurance", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("corpus", metavar="CORPUS", help="what it learned from, such as bach-chorales")
    made.add_argument("--hours", type=command.positive_seconds, default=1.0, metavar="H", help="(default: 1)")
    made.add_argument("--seeds", type=command.positive, default=100, metavar="N", help="(default: 100)")
    made.add_argument("--minutes", type=command.positive_seconds, default=10.0, metavar="M", help="(default: 10)")
    made.add_argument("--temperature", type=float, default=1.0, help="(default: 1.0)")
    made.add_argument("--top-p", type=float, default=1.0, help="(default: 1.0)")
    made.add_argument(
        "--corpus-hours", type=command.positive_seconds, default=100.0, metavar="H", help="at most (default: 100)"
    )
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the hour into this file")
    return command.run(made, endurance, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
