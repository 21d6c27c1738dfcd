"""Styles: named kinds of pieces, such as `reel`. Each style of a vocabulary is a token that may open a piece.

Training leaves the token out of some pieces. So the model can also begin a piece without a style, or choose one itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from generator.foundation.errors import CarouselError
from generator.music.score import style_name

LEAST_PIECES = 10
"""A style needs this many training pieces; a model would hardly learn it from fewer."""
MOST_STYLES = 64


def common(styles: Iterable[str]) -> tuple[str, ...]:
    """The styles of a new vocabulary, the commonest first, given those of the training pieces ("" for none).

    Left out are styles of too few pieces, and a style that all pieces have, which would distinguish nothing.
    """
    count = Counter(styles)
    pieces = count.total()
    del count[""]
    kept = [style for style in sorted(count, key=lambda style: (-count[style], style))[:MOST_STYLES]]
    return tuple(style for style in kept if LEAST_PIECES <= count[style] < pieces)


def check(styles: Sequence[str]) -> None:
    """Check the styles of a vocabulary.

    Raises:
        CarouselError: there are too many, two are equal, or one is not as `style_name` writes it.
    """
    if len(styles) > MOST_STYLES or len(set(styles)) < len(styles) or any(s != style_name(s) or not s for s in styles):
        raise CarouselError("the vocabulary's styles are not different names in lower case")
