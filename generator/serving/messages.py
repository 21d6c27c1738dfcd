"""What requests and answers look like: checked when they come in, and described in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from generator.foundation.options import SamplingOptions
from generator.music.score import Bar, Note, Pedal, PieceEnd, Tempo, TimeSignature
from generator.tokenizers.base import Event

MOST_TOKENS = 1024
"""The most tokens of a page."""
LONGEST_TEXT = 2000
"""The longest text that a stream hears, in characters."""
STATE = "1024.eNq1…"
FIELDS = {kind: [spec.name for spec in fields(kind)] for kind in (Note, TimeSignature, Tempo, Pedal, Bar, PieceEnd)}
"""What an event of music has, by its type."""
_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def _schema() -> dict[str, Any]:
    """The JSON schema of options: `SamplingOptions` as far as people choose them."""
    properties: dict[str, Any] = {}
    for spec in fields(SamplingOptions):
        if "help" not in spec.metadata:
            continue
        hint = get_type_hints(SamplingOptions)[spec.name]
        kind = next(word for plain, word in _TYPES.items() if hint in (plain, plain | None))
        bounds = {"minimum": spec.metadata["minimum"], "maximum": spec.metadata["maximum"]}
        properties[spec.name] = {
            "type": [kind, "null"] if spec.default is None else kind,
            "description": spec.metadata["help"],
            **{name: bound for name, bound in bounds.items() if bound is not None},
            **({"enum": list(spec.metadata["choices"])} if spec.metadata["choices"] else {}),
        }
    return {"type": "object", "properties": properties, "additionalProperties": False}


Options = Annotated[dict[str, Any], WithJsonSchema(_schema())]
Tokens = Annotated[int, Field(ge=1, le=MOST_TOKENS)]
Base64 = Annotated[str, Field(description="a MIDI file in base64", json_schema_extra={"format": "byte"})]


class Request(BaseModel):
    """A request has no fields that nobody reads."""

    model_config = ConfigDict(extra="forbid")


class Begin(Request):
    """A new stream."""

    checkpoint: str = Field(examples=["shakespeare"])
    options: Options = Field({}, examples=[{"seed": 7, "temperature": 0.9}])
    prime: str | None = Field(None, description="a text to go on from", examples=["ROMEO:"])
    midi: Base64 | None = None


class Held(Request):
    """A stream that the client has."""

    state: str = Field(description="as the last answer has it", examples=[STATE])


class Pull(Held):
    """More of a stream."""

    tokens: Tokens = Field(256, examples=[64])


class Change(Held):
    """Other options from here on."""

    options: Options = Field(examples=[{"temperature": 1.2}])


class Listen(Held):
    """A phrase that the stream is to go on from."""

    text: str | None = Field(None, max_length=LONGEST_TEXT, examples=["\nJULIET:\n"])
    midi: Base64 | None = None
    voice: str | None = Field(None, description="which of the stream's voices plays it")


class Rewind(Held):
    """How far a stream goes back: by a number of tokens, or of bars."""

    tokens: int = Field(0, ge=0, le=2**53, examples=[16])
    bars: int = Field(0, ge=0, le=2**53)


class File(Held):
    """All of a stream so far as a file."""

    format: Literal["mid", "wav", "musicxml", "txt", "take"] = Field(examples=["txt"])


class Follow(Held):
    """A stream as Server-Sent Events."""

    until: int | None = Field(None, ge=0, le=2**53, description="the position at which it stops", examples=[4096])
    page: Tokens = Field(16, description="tokens an event")
    rate: float | None = Field(None, ge=0.1, le=10_000, description="tokens a second, at most", examples=[30])


class Completion(Request):
    """A text that a prompt begins, as in OpenAI's API."""

    model: str = Field(examples=["shakespeare"])
    prompt: str = Field("", examples=["ROMEO:"])
    max_tokens: int = Field(16, ge=1, le=16 * MOST_TOKENS, examples=[64])
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = Field(None, description="by default another one each time")
    stream: bool = False


class State(BaseModel):
    """Where a stream is."""

    state: str = Field(description="what the next request has to send", examples=[STATE])
    checkpoint: str = Field(examples=["shakespeare"])
    position: int = Field(description="tokens so far, the primer's included", examples=[1024])
    ended: bool = Field(description="whether it has stopped at the end of a piece, as `at_end` asks")


class Begun(State):
    """A new stream."""

    omitted: list[str] = Field(description="what of the primer it does not get, in sentences")


class Page(State):
    """What a stream said: a text, or the events of music, in ticks."""

    text: str | None = Field(None, examples=["ROMEO:\nI"])
    events: list[dict[str, Any]] | None = None


class Card(BaseModel):
    """A checkpoint."""

    name: str
    medium: Literal["text", "music"]
    kind: str
    fingerprint: str
    voices: list[str]
    ticks_per_quarter: int
    defaults: dict[str, Any]
    card: str = Field(description="Markdown")


class Reason(BaseModel):
    """Why a request is refused."""

    message: str = Field(description="one line", examples=["a state has at most 49,152 characters; send it as it came"])
    type: str = Field(examples=["state_too_large"])


class Error(BaseModel):
    """A refusal."""

    error: Reason


def said(medium: str, events: Sequence[Event]) -> dict[str, Any]:
    """The fields of a page: the text, or the events."""
    if medium == "text":
        return {"text": "".join(map(str, events))}
    return {"events": [_named(event) for event in events]}


def _named(event: Event) -> dict[str, Any]:
    assert not isinstance(event, str)
    return {"type": type(event).__name__, **{name: getattr(event, name) for name in FIELDS[type(event)]}}
