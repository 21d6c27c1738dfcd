"""What a browser may send: fields of the right kind, within their bounds; all else is one line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from generator.foundation.errors import CarouselError
from generator.web.fields import MAX_POSITION, number, text, whole, wholes

NOTHING: list[Any] = [None, True, [], {}]


@pytest.mark.parametrize("value", ["", "a take"])
def test_a_text(value: str) -> None:
    assert text({"name": value, "other": 1}, "name") == value


@pytest.mark.parametrize("value", [*NOTHING, 1, 1.5])
def test_what_is_no_text(value: Any) -> None:
    with pytest.raises(CarouselError, match=r"^the request's name is not a text$"):
        text({"name": value}, "name")


@pytest.mark.parametrize("value", [0, 1, 10**12])
def test_a_whole_number(value: int) -> None:
    assert whole({"have": value}, "have") == value


@pytest.mark.parametrize("value", [*NOTHING, "1", 1.0, -1])
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(CarouselError, match=r"^the request's have is not a whole number$"):
        whole({"have": value}, "have")


def test_whole_numbers() -> None:
    assert wholes({"voices": [2, 0, 2]}, "voices") == [0, 2] and wholes({"voices": []}, "voices") == []
    for value in (None, 1, "12", {}, [1.5], [None], [-1], [[1]]):
        with pytest.raises(CarouselError, match=r"^the request's voices (are not a list|is not a whole number)$"):
            wholes({"voices": value}, "voices")


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, MAX_POSITION])
def test_a_number(value: float) -> None:
    found = number({"until": value}, "until")
    assert found == value and isinstance(found, float)


@pytest.mark.parametrize(
    "value", [*NOTHING, "1", -1, -1e-9, math.nan, math.inf, math.nextafter(MAX_POSITION, math.inf), 2 * MAX_POSITION]
)
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(CarouselError, match=r"^the request's until is not a number$"):
        number({"until": value}, "until")
