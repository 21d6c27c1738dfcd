"""Styles: the kinds of pieces that a vocabulary can tell apart by name, each a token that may open a piece.

Training leaves the token out of some pieces, so a stream that is not told a style chooses one, or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from generator.foundation.errors import CarouselError
from generator.music.score import style_name

LEAST_PIECES = 10
"""Of a style: what fewer have in common is hardly learned."""
MOST_STYLES = 64


def common(styles: Iterable[str]) -> tuple[str, ...]:
    """The styles of a vocabulary, the commonest first, given those of the training pieces, "" for none: what too few
    pieces have is left out, and what all of them have, which tells nothing."""
    count = Counter(styles)
    pieces = count.total()
    del count[""]
    kept = [style for style in sorted(count, key=lambda style: (-count[style], style))[:MOST_STYLES]]
    return tuple(style for style in kept if LEAST_PIECES <= count[style] < pieces)


def check(styles: Sequence[str]) -> None:
    """Raise a CarouselError if these cannot be the styles of a vocabulary."""
    if len(styles) > MOST_STYLES or len(set(styles)) < len(styles) or any(s != style_name(s) or not s for s in styles):
        raise CarouselError("the vocabulary's styles are not different names in lower case")
