"""Text from outside on a page: Streamlit reads its texts as Markdown."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """A text that Markdown shows as it is, with nothing in it read as a mark, a link, a formula or an icon."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
