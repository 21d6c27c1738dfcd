"""The best of several continuations is the one that the model itself finds likeliest."""

from __future__ import annotations

import pytest

from generator.foundation.errors import CarouselError
from generator.streaming.best import candidates
from tests.test_constraints import model_of
from tests.test_melody import harmonised, tune


@pytest.mark.parametrize(
    ("name", "length"), [("shakespeare", {"tokens": 50}), ("bach", {"bars": 2}), ("folk", {"tokens": 70})]
)
def test_the_best_is_what_the_model_finds_likeliest(name: str, length: dict[str, int]) -> None:
    model = model_of(name)
    stream = model.stream(seed=5)
    found = candidates(model, stream, 3, **length)
    assert [one.nats_per_unit for one in found] == sorted(one.nats_per_unit for one in found)
    assert {one.seed for one in found} == {5, 6, 7}
    assert stream.position == 0
    if name == "shakespeare":
        for one in found:
            text = "".join(map(str, model.stream(seed=one.seed).pull(50)))
            assert model.score(text)[:50].sum() == pytest.approx(one.nats, rel=1e-4)
            assert one.units == 50
    stream.pull(100)
    assert [one.tokens for one in candidates(model, stream, 2, tokens=20)] == [20, 20]
    assert stream.position == 100


def test_a_stream_that_has_ended_has_no_best() -> None:
    stream, _ = harmonised(model_of("bach").melody(tune()))
    with pytest.raises(CarouselError, match="has ended"):
        candidates(model_of("bach"), stream, 2)
    with pytest.raises(CarouselError, match="give a length"):
        candidates(model_of("bach"), model_of("bach").stream(), 2)
