"""What a request of the page's holds: fields of the right kind, within their bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from starlette.requests import Request

from generator.foundation.errors import CarouselError

MAX_BODY_BYTES = 2**15
"""A phrase of a thousand messages is a little shorter."""
MAX_POSITION = 1e9
"""The largest position in a request; the unit is that of the take."""


async def body_of(request: Request) -> dict[str, Any]:
    """The fields of a request whose body is a small JSON object.

    Raises:
        CarouselError: it is something else, or too long.
    """
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY_BYTES:
            raise CarouselError("the request is too long")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise CarouselError("the request is not JSON") from None
    return fields(body)


def fields(body: Any) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        CarouselError: it is no JSON object.
    """
    if not isinstance(body, Mapping):
        raise CarouselError("the request is not a JSON object")
    return dict(body)


def text(body: dict[str, Any], name: str) -> str:
    """A field of a request that is a string.

    Raises:
        CarouselError: it is missing or no string.
    """
    value = body.get(name)
    if not isinstance(value, str):
        raise CarouselError(f"the request's {name} is not a text")
    return value


def whole(body: dict[str, Any], name: str, least: int = 0, most: int | None = None) -> int:
    """A field of a request that is a whole number within bounds.

    Raises:
        CarouselError: it is missing or no such number.
    """
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = "" if most is None else f" from {least} to {most}"
        raise CarouselError(f"the request's {name} is not a whole number{bounds}")
    return value


def wholes(body: dict[str, Any], name: str) -> list[int]:
    """A field of a request that is a list of different whole numbers.

    Raises:
        CarouselError: it is missing or no such list.
    """
    values = body.get(name)
    if not isinstance(values, list):
        raise CarouselError(f"the request's {name} are not a list")
    return sorted({whole({name: value}, name) for value in values})


def number(body: dict[str, Any], name: str) -> float:
    """A field of a request that is a number from 0 to `MAX_POSITION`.

    Raises:
        CarouselError: it is missing or no such number.
    """
    value = body.get(name)
    if not is_number(value):
        raise CarouselError(f"the request's {name} is not a number")
    return float(value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number from 0 to `MAX_POSITION`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_POSITION
