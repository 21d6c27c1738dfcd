"""What is known of a text before each of its characters: lines, words, sentences, who speaks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from generator.tokenizers.labels import Flags, Labels, before, counted, kept, since

VOWELS = "aeiouAEIOU"
MARKS = ".,;:!?"
SENTENCE_ENDS = ".!?"
PAIRS = {"quotation marks": ('"', '"'), "brackets": ("(", ")"), "square brackets": ("[", "]"), "braces": ("{", "}")}
SPEAKER = re.compile(r"(?m)(?:\A|(?<=\n\n))([A-Z][^:\n]{0,30}):\n")
"""The heading of a speech, as in the printed plays: a line of its own after an empty one."""
MOST_SPEAKERS = 8


def labels(text: str) -> Labels:
    """As `Tokenizer.labels`, of a text with one character for each token."""
    read = "\n" + text[:-1]  # what was read last before each character, the start token before the first
    codes = np.array([ord(character) for character in read], np.int64)
    coming = np.array([ord(character) for character in text], np.int64)

    def is_in(characters: Iterable[str]) -> Flags:
        return np.isin(codes, [ord(character) for character in characters])

    kinds = sorted(set(read))
    new_line, letter = is_in("\n"), is_in(filter(str.isalpha, kinds))
    upper, ends = is_in(filter(str.isupper, kinds)), is_in(SENTENCE_ENDS)
    new_paragraph = new_line & before(new_line, 1).astype(np.bool_)
    in_line = since(new_line)
    found: Labels = {
        "characters since the line began": in_line,
        "length of the line before": kept(new_line, before(in_line)),
        "lines since the paragraph began": counted(new_line, new_paragraph),
        "characters since the sentence began": since(ends | new_paragraph),
        "words since the line began": counted(before(letter, 0).astype(np.bool_) & ~letter, new_line),
        "letters since the word began": since(~letter),
        "the line begins": new_line,
        "the paragraph begins": new_paragraph,
        "after a letter": letter,
        "after a vowel": is_in(VOWELS),
        "after a capital": upper,
        "after two capitals": upper & before(upper, 0).astype(np.bool_),
        "after a space": is_in(" "),
        "after a mark of punctuation": is_in(MARKS),
        "after an apostrophe": is_in("'’"),
        "after a digit": is_in(filter(str.isdigit, kinds)),
        "a new line comes next (looks ahead)": coming == ord("\n"),
        "the sentence is a question (looks ahead)": _ends_with("?", coming),
        "the sentence is an exclamation (looks ahead)": _ends_with("!", coming),
    }
    for name, (opening, closing) in PAIRS.items():
        opened, closed = is_in(opening), is_in(closing)
        if opening == closing:
            found[f"inside {name}"] = counted(opened, new_paragraph) % 2 == 1
        else:
            found[f"inside {name}"] = counted(opened, new_paragraph) > counted(closed, new_paragraph)
    return found | _speeches(text)


def _ends_with(mark: str, coming: npt.NDArray[np.int64]) -> Flags:
    """Whether the next end of a sentence is this mark."""
    ends = np.isin(coming, [ord(end) for end in SENTENCE_ENDS])[::-1]
    return np.flip(kept(ends, coming[::-1]) == ord(mark))


def _speeches(text: str) -> Labels:
    """Where headings are, who speaks, and whether in prose: its lines go on in lower case."""
    heading, prose = np.zeros(len(text), np.bool_), np.zeros(len(text), np.bool_)
    starts = list(SPEAKER.finditer(text))
    if not starts:
        return {}
    bounds = [*(found.start() for found in starts), len(text)]
    speaker = np.full(len(text), -1)
    names = [name for name, _ in Counter(found[1] for found in starts).most_common()]
    for number, found in enumerate(starts):
        heading[found.start() : found.end() - 1] = True
        said = slice(found.end(), bounds[number + 1])
        speaker[said] = names.index(found[1])
        prose[said] = re.search(r"\n[a-z]", text[said]) is not None
    shares = np.bincount(speaker[speaker >= 0], minlength=len(names))
    commonest = np.argsort(-shares, kind="stable")[:MOST_SPEAKERS].tolist()
    return {
        "in the heading of a speech (looks ahead)": heading,
        "in a speech in prose (looks ahead)": prose,
        **{f"{names[index]} speaks": speaker == index for index in commonest},
    }
