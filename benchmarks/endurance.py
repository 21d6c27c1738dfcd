"""Does music last? An hour of one stream, never reset, in windows of five minutes, beside its corpus. JSON, one object.

    python -m benchmarks.endurance checkpoints/bach bach-chorales --picture docs/endurance-bach.svg

The statistics are those of `benchmarks/features.py`; of the distributions, the area that a window's histogram shares
with the whole corpus's, of which no amount is too much. They are compared with two ranges, from the 5th percentile to
the 95th: `pieces`, of the corpus's pieces one by one; and, narrower, `windows`, of stretches as long as the stream's:
its pieces of all splits one after another, by chance, each in a key by chance, as the model has learned them. One in
ten of the corpus's own lies outside a range. `drift` is how far the mean of the last quarter of the stream's windows
lies from that of the first, in standard deviations of the corpus's.

Then many streams side by side, one a seed, with the governor and without: which of them get stuck in a loop or in
silence, and where, in seconds, as `generator/streaming/stuck.py` defines it; how often the governor stepped in; and how
many of the figures of their windows lie outside the corpus's range. And which pieces of the corpus would be called
stuck.

    python -m benchmarks.endurance checkpoints/bach bach-chorales --temperature 0.9 --minutes 60
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import HISTOGRAMS, cuts, features, names
from benchmarks.measuring import optional, parser, report, rounded, watched
from benchmarks.statistics import area, music_model
from generator import command
from generator.atomic import atomic_write
from generator.corpora import open_corpus
from generator.corpora.shards import Shards, prepare
from generator.errors import CarouselError
from generator.music.score import Clock, Score, Tempo
from generator.streaming.batch import CHUNK
from generator.streaming.engine import Model
from generator.streaming.stuck import stretches

WINDOW_SECONDS = 300.0
RANGES = ("pieces", "windows")
Row = dict[str, Any]
Corpus = dict[str, list[Row]]
"""By range: the statistics of its pieces, and of its windows."""


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


def pieces(shards: Shards, most_hours: float) -> Iterator[tuple[str, Any, Score]]:
    """The corpus's pieces by chance and in random variants, up to so many hours: name, tokens, and what these say."""
    random = np.random.default_rng(0)
    every = [(shards.split(split), index) for split in shards.splits for index in range(len(shards.split(split)))]
    left = 3600 * most_hours
    for place in watched(random.permutation(len(every)), "corpus"):
        split, index = every[place]
        if left > 0:
            tokens = shards.tokenizer.augment(split[index], random)
            piece = shards.tokenizer.decode(tokens)
            left -= piece.clock().seconds(piece.end_ticks)
            yield split.names[index], tokens, piece


def windows(score: Score) -> list[Row]:
    return [features(*cut) for cut in cuts(score, WINDOW_SECONDS)]


def of_corpus(shards: Shards, most_hours: float) -> tuple[Corpus, Row]:
    """Its pieces one by one, and its windows, played one after another an hour at a time; which pieces are stuck."""
    rows: Corpus = {"pieces": [], "windows": []}
    found: Row = {"loop": [], "silence": []}
    hour, seconds = [], 0.0
    for name, tokens, piece in pieces(shards, most_hours):
        for kind in sorted({stretch.kind for stretch in stretches(piece)}):
            found[kind].append(name)
        lasts = piece.clock().seconds(piece.end_ticks)
        rows["pieces"].append(features(piece, lasts))
        hour.append(tokens)
        seconds += lasts
        if seconds >= 3600:
            rows["windows"] += windows(shards.tokenizer.decode(np.concatenate(hour)))
            hour, seconds = [], 0.0
    if hour:
        rows["windows"] += windows(shards.tokenizer.decode(np.concatenate(hour)))
    return rows, found | {name: len(rows[name]) for name in RANGES}


def compare(stream: list[Row], corpus: Corpus, statistics: list[str]) -> list[Row]:
    """A row a statistic: the corpus's ranges, how many of the stream's windows lie inside each, and how far they
    drift."""
    found = []
    for name in statistics:
        ours, *theirs = ([row[name] for row in rows] for rows in (stream, *(corpus[kind] for kind in RANGES)))
        if name in HISTOGRAMS:
            whole = np.sum(theirs[-1], axis=0)
            ours, *theirs = ([area(one, whole) if one.any() else 0.0 for one in rows] for rows in (ours, *theirs))
        row: Row = {"statistic": name}
        for kind, values in zip(RANGES, theirs, strict=True):
            low, high = np.nanpercentile(values, (5, 95))
            high = 1.0 if name in HISTOGRAMS else high
            inside = sum(bool(low - 1e-9 <= value <= high + 1e-9) for value in ours)
            row[kind] = {"low": figure(low), "high": figure(high), "inside": inside}
        quarter = max(1, len(ours) // 4)
        away = np.mean(ours[-quarter:]) - np.mean(ours[:quarter])
        row["drift"] = figure(away / max(np.nanstd(theirs[-1]), 1e-9))
        found.append(row | {"values": [figure(value) for value in ours]})
    return found


def outside(rows: list[Row]) -> Row:
    """How many figures lie outside each of the corpus's ranges, and of how many."""
    count = sum(len(row["values"]) for row in rows)
    return {kind: count - sum(row[kind]["inside"] for row in rows) for kind in RANGES} | {"of": count}


def figure(value: float) -> float | None:
    """As JSON can say it."""
    return None if np.isnan(value) else rounded(value)


def stuck(model: Model, seeds: int, minutes: float, corpus: Corpus, **options: Any) -> Row:
    """Which of the seeds get stuck, each with its seed and where, in seconds; how often the governor stepped in; how
    many of their windows' figures lie outside the corpus's range."""
    found: Row = {**options, "seeds": seeds, "minutes": minutes, "stuck": 0, "loop": [], "silence": [], "lifts": 0}
    rows: list[Row] = []
    for seed, (score, lifts) in enumerate(watched(played(model, seeds, 60 * minutes, **options), "seeds")):
        where = stretches(score, round(60_000 * minutes))
        found["stuck"] += bool(where)
        found["lifts"] += lifts
        rows += windows(score)[: int(60 * minutes / WINDOW_SECONDS)]
        for one in where:
            found[one.kind].append({"seed": seed, "from": one.start_ms / 1000, "to": one.end_ms / 1000})
    return found | {"outside": outside(compare(rows, corpus, names(model.tokenizer)) if rows else [])}


def draw(rows: list[Row], path: Path) -> None:
    """The picture: every statistic over the hour, on the corpus's range; the same bytes for the same figures."""
    matplotlib, figures = map(optional, ("matplotlib", "matplotlib.figure"))
    style = {"svg.hashsalt": "carousel", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}
    across = -(-len(rows) // 2)
    with matplotlib.rc_context(style):
        picture = figures.Figure(figsize=(1.9 * across, 3.4), layout="constrained")
        panels = picture.subplots(2, across, sharex=True).flat
        for panel, row in zip(panels, rows, strict=False):  # an odd number leaves one empty
            minutes = [WINDOW_SECONDS / 60 * (index + 0.5) for index in range(len(row["values"]))]
            ends = [row[kind][end] for kind in RANGES for end in ("low", "high")]
            for low, high in (ends[:2], ends[2:]):
                panel.axhspan(low, high, color="#b3541e", alpha=0.14, linewidth=0)
            panel.plot(minutes, np.array(row["values"], float), "o-", color="#1f5f8b", markersize=2.5, linewidth=1)
            name = row["statistic"].replace("_", " ")
            panel.set_title(f"overlap of {name}s" if row["statistic"] in HISTOGRAMS else name, fontsize=8)
            values = np.array([*ends, *row["values"]], float)
            low, high = np.nanmin(values), np.nanmax(values)
            room = 0.3 * (high - low) or 0.1
            panel.set_ylim(low - room, high + room)
            panel.spines[["top", "right"]].set_visible(False)
        picture.supxlabel("minutes; the bands hold nine of ten of the corpus's pieces, and of its windows", fontsize=8)
        with atomic_write(path) as file:
            picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def endurance(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = music_model(given.checkpoint)
    options = {"temperature": given.temperature, "top_p": given.top_p}
    shards = prepare(open_corpus(given.corpus), model.tokenizer)
    corpus, about = of_corpus(shards, given.corpus_hours)
    count = round(3600 * given.hours / WINDOW_SECONDS)
    if not corpus["windows"] or not count:
        raise CarouselError("nothing fills a window of five minutes; give more --hours, or a longer corpus")
    ((stream, _),) = played(model, 1, (count + 1) * WINDOW_SECONDS, **options)
    rows = compare(windows(stream)[:count], corpus, names(model.tokenizer))
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
