"""Every option once: its default, bounds and meaning. Command-line flags and the app's widgets derive from here."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from generator.foundation.errors import CarouselError, Option

T = TypeVar("T")

AT_END = ("next", "never", "stop")
MOST_NOTES_A_SECOND = 32
SECTION_BARS = 8
"""The bars of a section of the option `form`, where neither a length nor a melody says how many they are."""


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field that knows its bounds (inclusive) and what it means."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "metavar": metavar}
    return field(default=default, metadata=metadata)


@cache
def _types(kind: Any) -> dict[str, type]:
    """The type of each field of an options class, where it is not None."""
    hints = get_type_hints(kind).items()
    return {name: next(part for part in get_args(hint) or (hint,) if part is not NoneType) for name, hint in hints}


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def validate(options: Any) -> None:
    """Check every field against its type and its own bounds.

    Raises:
        CarouselError: a value is of another type, is out of its bounds, or is not among its choices.
    """
    kind: type = type(options)
    for spec in fields(kind):
        value, wanted = getattr(options, spec.name), _types(kind)[spec.name]
        name = Option(spec.name)
        low, high, choices = (spec.metadata.get(key) for key in ("minimum", "maximum", "choices"))
        if value is None and spec.default is None:
            continue
        if choices is not None:
            if value not in choices:
                raise CarouselError(name, f" is {value!r}; choose one of {', '.join(choices)}")
            continue
        fits = isinstance(value, (int, float) if wanted is float else wanted)
        confused = isinstance(value, bool) != (wanted is bool)
        if not fits or confused or (isinstance(value, float) and not math.isfinite(value)):
            raise CarouselError(name, f" is {value!r}; give {_WORDS[wanted]}")
        if (low is not None and value < low) or (high is not None and value > high):
            raise CarouselError(name, f" is {value}; {bounds_text(spec)}")


def bounds_text(spec: Field[Any]) -> str:
    """The bounds of a field as words."""
    low, high = spec.metadata["minimum"], spec.metadata["maximum"]
    return f"it must be at least {low}" if high is None else f"it must lie between {low} and {high}"


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None


_READERS: dict[type, Callable[[str], Any]] = {int: _whole, float: _number, str: str}


def plain_flag(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


def flag(name: str) -> str:
    """What somebody types who means an option."""
    return {"parallels": "--no-parallels", "the engine's index": "--originality"}.get(name, plain_flag(name))


def add_arguments(parser: argparse.ArgumentParser, kind: type, default: str = "default: ") -> None:
    """One flag for each field of an options class. A flag that is not given is absent from the parsed namespace.

    Args:
        default: the words before a default value.
    """
    for spec in fields(kind):
        if "help" not in spec.metadata:
            continue
        text = spec.metadata["help"]
        if spec.default is not None and spec.default is not MISSING:
            text += f" ({default}{spec.default})"
        extra: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
        if isinstance(spec.default, bool):
            parser.add_argument(plain_flag(spec.name), action=argparse.BooleanOptionalAction, **extra)
            continue
        parser.add_argument(
            plain_flag(spec.name),
            type=_READERS[_types(kind)[spec.name]],
            choices=spec.metadata["choices"],
            metavar=spec.metadata["metavar"],
            **extra,
        )


def given(arguments: argparse.Namespace, kind: type[T]) -> dict[str, Any]:
    """The fields of `kind` that the command line names."""
    names = {spec.name for spec in fields(kind)}  # type: ignore[arg-type]
    return {name: value for name, value in vars(arguments).items() if name in names}


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How the next token is chosen. A value: change it with `dataclasses.replace`.

    Raises:
        CarouselError: a field is out of its bounds.
    """

    seed: int = option(0, "random numbers are a function of this seed and the position", minimum=0, maximum=2**63 - 1)
    temperature: float = option(
        1.0, "below 1 safer, above 1 wilder, 0 always the likeliest token", minimum=0.0, maximum=10.0
    )
    top_k: int = option(0, "keep only the K likeliest tokens; 0 keeps all", minimum=0, maximum=1_000_000)
    top_p: float = option(
        1.0, "keep the likeliest tokens that together reach this probability", minimum=0.0, maximum=1.0
    )
    min_p: float = option(
        0.0, "keep tokens of at least this share of the likeliest one's probability", minimum=0.0, maximum=1.0
    )
    at_end: str = option(
        "next", "at a piece's end: begin the next one, never let it end, or stop the stream", choices=AT_END
    )

    # Constraints, obeyed as `streaming/constraints.py` says.
    key: str | None = option(
        None, "only notes of this key, such as 'D minor', or of the primer's, with the word primer", metavar="KEY"
    )
    scale: str | None = option(
        None, "over the key's tonic, this scale instead of the plain major or minor: 'harmonic minor', dorian, blues …"
    )
    ranges: str | None = option(
        None, "lowest and highest MIDI pitch, of every voice (60-79) or by name (Soprano:60-79,Bass:40-60)"
    )
    parallels: bool = option(True, "let two voices move from fifth to fifth or from octave to octave")
    voices_at_once: int | None = option(None, "notes that sound at once, at most", minimum=1, maximum=128)
    density: int | None = option(
        None, "notes that begin within any one second, at most", minimum=1, maximum=MOST_NOTES_A_SECOND
    )
    tempo: float | None = option(
        None, "quarter notes a minute: the nearest tempo that the checkpoint knows", minimum=1, maximum=1000
    )
    metre: str | None = option(None, "only this metre, such as 3/4", metavar="N/D")
    length: int | None = option(None, "bars of each piece, exactly so many", minimum=1, maximum=10_000)
    form: str | None = option(
        None, "sections of equal length, a letter each; one that came before comes back: AABB, AABA", metavar="LETTERS"
    )
    close: bool = option(False, "end each piece on its tonic's chord, with the tonic in the bass")
    key_distance: int | None = option(
        None, "fifths from a piece's key to the next one's, at most; 0 keeps the signature", minimum=0, maximum=6
    )
    style: str | None = option(
        None,
        "begin each piece in this style, such as 'slip jig': one that the checkpoint's card lists",
        metavar="STYLE",
    )
    starts_with: str | None = option(None, "say this text first, from where the option is set", metavar="TEXT")
    characters: str | None = option(None, "only characters of this text", metavar="TEXT")
    lines: int | None = option(
        None, "lines of each paragraph, such as a speech of a play, exactly so many", minimum=1, maximum=10_000
    )
    max_copy: int | None = option(
        None,
        "no run longer than N notes (or characters) that also stands in the corpus named with --originality",
        minimum=1,
        maximum=1_000_000,
        metavar="N",
    )
    melody: str | None = option(
        None, "keep the melody in this file note for note, and write the other voices", metavar="FILE"
    )

    clamp: str | None = option(
        None, "hold parts of units: 'forget_gate 0.37=1' is unit 37 of layer 0, open", metavar="PART LAYER.UNIT=VALUE"
    )
    governor: bool = option(True, "raise the temperature for a while where the stream falls into a loop or silence")
    lift: float = field(default=0.0, metadata={"minimum": 0.0, "maximum": 10.0})  # by the governor, so without a flag

    def __post_init__(self) -> None:
        validate(self)

    @property
    def bars(self) -> int:
        """The bars that a piece is asked to have, as `Grammar.ask_length` takes them; a melody has its own."""
        return self.length or (-SECTION_BARS * len(self.form) if self.form and not self.melody else 0)


def changed(options: SamplingOptions, changes: Mapping[str, Any]) -> SamplingOptions:
    """The options with some of them changed, by name.

    Raises:
        CarouselError: there is no such option, or a value is out of its bounds.
    """
    names = [spec.name for spec in fields(SamplingOptions)]
    for name in changes:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise CarouselError(f"there is no option {name!r}; {hint}")
    return replace(options, **changes)
