"""Moments: what is watched is what the engine does, portraits show it, and a span is found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.analysis import moments, reading
from generator.analysis.reading import watch
from generator.analysis.state_index import LONGEST, StateIndex
from generator.corpora.dataset import Split, TokenDataset
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.streaming.engine import Model
from generator.streaming.stream import Stream
from tests.test_units import VOWELS, cache, checkpoint, dataset

__all__ = ["cache", "checkpoint", "dataset"]


def test_what_is_watched_is_the_trace(text: Model) -> None:
    stream = text.stream(seed=1)
    stream.pull(500)
    split = Split(np.array(stream.tokens(), np.uint16), np.array([0, 500]), ("drawn",))
    watched, traced = watch(text.checkpoint, split), text.trace(stream)
    assert np.array_equal(watched.cell, traced.cell.astype(np.float16))
    assert np.abs(watched.hidden / np.float32(127) - traced.hidden).max() < 1e-6
    constants = -1 / np.log(traced.forget_gate.astype(np.float64)).mean(0)
    assert watched.time_constants == pytest.approx(constants, rel=1e-4)


def test_side_by_side_is_almost_one_carried_stream(checkpoint: Checkpoint, dataset: TokenDataset) -> None:
    split = dataset.split("train").beginning(3000)
    features = checkpoint.tokenizer.grammar.features_before(split.tokens)
    assert reading.Stretches(split.tokens, 0, features, 0, 3000).count == 2
    carried = Stream.trace_of(Model(checkpoint).engine(), split.tokens.tolist()).cell
    differences = np.abs(watch(checkpoint, split).cell - carried)
    assert differences.max() < 0.05 and differences.mean() < 1e-3


def test_a_portrait_shows_the_strongest_moments(checkpoint: Checkpoint, dataset: TokenDataset) -> None:
    watched = watch(checkpoint, dataset.split("validation"))
    found = moments.portrait(watched, *VOWELS, count=5, around=6)
    whole = checkpoint.tokenizer.decode(dataset.split("validation").tokens)
    assert [moment.score for moment in found.moments] == sorted((m.score for m in found.moments), reverse=True)
    assert len({moment.position for moment in found.moments}) == 5 and sum(found.counts) == len(watched.cell)
    for moment in found.moments:
        at = moment.position - moment.start
        assert len(moment.words) == len(moment.values) <= 13 and moment.values[at] == moment.score
        assert "".join(moment.words) == whole[moment.start : moment.start + len(moment.words)]
        assert moment.words[at - 1] in "aeiouO"
    assert found.raises == found.lowers == ()
    top = moments.portrait(watched, 1, 0, "hidden")
    weights = checkpoint.weights["output.weight"][:, 0]
    assert [weight for _, weight in top.raises] == pytest.approx(sorted(weights)[:-9:-1])
    assert [weight for _, weight in top.lowers] == pytest.approx(sorted(weights)[:8])


def test_moments_of_music_are_in_words(music: Model) -> None:
    stream = music.stream(seed=5)
    stream.pull(700)
    tokens = np.array(stream.tokens(), np.uint16)
    cut = int(np.flatnonzero(tokens == music.tokenizer.end)[0]) + 1 if music.tokenizer.end in tokens else 350
    split = Split(tokens, np.array([0, cut, 700]), ("one", "two"))
    found = moments.portrait(watch(music.checkpoint, split), 1, 3, count=2, around=5)
    assert {moment.piece for moment in found.moments} == {"one", "two"}
    assert {"quarter", "half"} & {word for moment in found.moments for word in moment.words}


@pytest.mark.parametrize("wanted", [(2, 0), (0, 24), (-1, 0), (0, 0, "soul"), (0, 0, "cell", 0), (0, 0, "cell", 1, -1)])
def test_there_is_no_such_portrait(checkpoint: Checkpoint, dataset: TokenDataset, wanted: tuple[Any, ...]) -> None:
    watched = watch(checkpoint, dataset.split("validation").beginning(100))
    with pytest.raises(CarouselError, match=r"no cell of unit|no soul of unit|give at most"):
        moments.portrait(watched, *wanted)


def test_what_is_like_a_span_of_the_split_is_that_span(
    checkpoint: Checkpoint, dataset: TokenDataset, cache: Path
) -> None:
    train = dataset.split("train")
    cells = Stream.trace_of(Model(checkpoint).engine(), train.tokens[:2000].tolist()).cell
    for first, steps in ((700, 1), (1203, 20), (0, 8), (100, LONGEST)):
        found = moments.similar(checkpoint, dataset, cells[first : first + steps], count=4)
        assert found[0].score > 0.9
        assert steps < LONGEST or found[0].position == first
        assert [moment.score for moment in found] == sorted((m.score for m in found), reverse=True)
        places = sorted(moment.position for moment in found)
        assert all(np.diff(places) >= steps)
    [folder] = [path for path in (cache / "states").iterdir() if path.is_dir()]
    written = (folder / "bits").stat().st_mtime_ns
    StateIndex.open(checkpoint, dataset)
    assert (folder / "bits").stat().st_mtime_ns == written
    (folder / "bits").write_bytes(b"cut off")
    again = StateIndex.open(checkpoint, dataset)
    assert again.bits.shape == (1, len(train.tokens))
    for wrong in (cells[:0], cells[: LONGEST + 1], cells[:3, :, :5]):
        with pytest.raises(CarouselError, match=r"a span of|another model"):
            again.query(wrong)


def test_a_unit_is_described(checkpoint: Checkpoint, dataset: TokenDataset) -> None:
    """The planted unit follows vowels: before each of its highest moments one was read."""
    found = moments.of_unit(checkpoint, dataset, "validation", "0.5")
    highest = max(found["highest"], key=lambda moment: moment["cell"])
    assert highest["before"][-1] in "aeiou"
    assert sum(found["histogram"]["counts"]) == len(dataset.split("validation").tokens)
    for name in ("5", "0.5.1", "a.b", "0.99999", "-1.2", ""):
        with pytest.raises(CarouselError, match=r"is no unit; give its layer and number|no cell of unit 0\.99999"):
            moments.of_unit(checkpoint, dataset, "validation", name)
