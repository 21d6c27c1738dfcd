"""Random numbers, options, and the way from logits to a token."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions, flag
from generator.streaming.rng import uniform
from generator.streaming.sampling import draw, exp, weigh

LOGITS = np.array([2.0, 1.0, 0.0, -1.0, 3.0], dtype=np.float32)
ALL = np.ones(5, dtype=np.bool_)


def distribution(logits: np.ndarray, allowed: np.ndarray, options: SamplingOptions) -> np.ndarray:
    weights = np.zeros(len(logits))
    weigh(
        logits,
        allowed,
        options.temperature,
        options.top_k,
        options.top_p,
        options.min_p,
        weights,
        np.zeros(len(logits), np.int64),
    )
    return weights / weights.sum()


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_the_exponential_is_as_near_as_it_says() -> None:
    for x in np.linspace(-700.0, 0.0, 5001):
        assert exp(x) == pytest.approx(math.exp(x), rel=1e-15, abs=0)
    assert exp(np.float64(-708.5)) == 0.0 < exp(np.float64(-707.5))


def test_uniform_is_a_function_of_seed_and_position() -> None:
    numbers = {(seed, position): uniform(seed, position) for seed in range(50) for position in range(50)}
    assert len(set(numbers.values())) == 2500
    assert all(0 <= number < 1 for number in numbers.values())
    assert numbers[3, 4] == uniform(3, 4)


def test_uniform_is_uniform_over_positions_and_over_seeds() -> None:
    for sequence in ([uniform(9, i) for i in range(20_000)], [uniform(i, 9) for i in range(20_000)]):
        counts, _ = np.histogram(sequence, bins=20, range=(0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square, 19 degrees of freedom, p < 0.0002
        assert abs(np.corrcoef(sequence[:-1], sequence[1:])[0, 1]) < 0.03


KNOWN = ["0x1.0c77123e98157p-1", "0x1.3563ef4a0babcp-2", "0x1.f058903ccf316p-1"]


def test_known_values_stay() -> None:
    """A take made today plays tomorrow."""
    assert [uniform(7, position).hex() for position in (0, 1, 10**12)] == KNOWN


def test_order_of_the_filters() -> None:
    masked = ALL.copy()
    masked[4] = False
    p = distribution(LOGITS, masked, SamplingOptions(temperature=0.5))
    assert np.allclose(p[:4], softmax(LOGITS[:4].astype(float) / 0.5))
    assert p[4] == 0
    p = distribution(LOGITS, ALL, SamplingOptions(top_k=2))
    assert np.flatnonzero(p).tolist() == [0, 4]
    # Top-p counts within what top-k left: 0.73 and 0.27 of two.
    p = distribution(LOGITS, ALL, SamplingOptions(top_k=2, top_p=0.7))
    assert np.flatnonzero(p).tolist() == [4]
    p = distribution(LOGITS, ALL, SamplingOptions(min_p=0.2))
    assert np.flatnonzero(p).tolist() == [0, 4]
    assert p.sum() == pytest.approx(1)


def test_zero_temperature_is_greedy_and_the_lowest_id_wins() -> None:
    flat = np.zeros(5, dtype=np.float32)
    assert distribution(flat, ALL, SamplingOptions(temperature=0)).argmax() == 0
    negative = np.array([-3, -0.5, -2, -0.5, -1], np.float32)
    assert distribution(negative, ALL, SamplingOptions(temperature=0)).argmax() == 1
    signed = np.array([-1, -0.0, 0.0, -0.0, -1], np.float32)
    assert distribution(signed, ALL, SamplingOptions(temperature=0)).argmax() == 1
    masked = np.array([False, False, True, True, False])
    assert draw(distribution(LOGITS, masked, SamplingOptions(temperature=0)), 0.999) == 2


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=40),
    temperature=st.floats(0, 10),
    top_k=st.integers(0, 50),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    number=st.floats(0, 1, exclude_max=True),
    data=st.data(),
)
def test_only_what_is_allowed_is_drawn(logits, temperature, top_k, top_p, min_p, number, data) -> None:  # type: ignore[no-untyped-def]
    size = len(logits)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    allowed[data.draw(st.integers(0, size - 1))] = True
    options = SamplingOptions(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    p = distribution(np.array(logits, dtype=np.float32), allowed, options)
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1)
    assert not p[~allowed].any()
    assert p[draw(p, number)] > 0
    if temperature == 0:
        assert draw(p, number) == np.argmax(np.where(allowed, np.array(logits, np.float32), -np.inf))
    if top_k:
        assert np.count_nonzero(p) <= top_k


@pytest.mark.parametrize("size", [8, 16, 19])
def test_what_is_drawn_is_possible_where_rounding_passes_the_total(size: int) -> None:
    """The largest number that there is, and nothing possible at the end."""
    for possible in range(size):
        p = np.where(np.arange(size) <= possible, np.float64(0.1), np.float64(0))
        assert draw(p, 1 - 2**-53) == possible


def test_draws_are_those_of_the_plain_sum() -> None:
    random = np.random.default_rng(1)
    for size in [5, 8, 20, 256]:
        p = random.exponential(size=size) * (random.random(size) < 0.7)
        for number in random.random(200):
            assert draw(p, number) == np.searchsorted(np.cumsum(p), number * p.sum(), side="right")


def test_the_share_drawn_is_the_probability() -> None:
    p = distribution(LOGITS, ALL, SamplingOptions())
    drawn = np.bincount([draw(p, uniform(1, i)) for i in range(20_000)], minlength=5) / 20_000
    assert np.abs(drawn - p).max() < 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_k": 1.5},
        {"top_p": 1.01},
        {"min_p": -1},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 10**400},
        {"temperature": 10**400},
        {"at_end": "maybe"},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_options_out_of_bounds_are_refused_by_name(wrong: dict[str, object]) -> None:
    name = next(iter(wrong))
    with pytest.raises(CarouselError, match=f"^{name} is ") as error:
        SamplingOptions(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert error.value.worded(flag).startswith(f"--{name.replace('_', '-')} is ")
