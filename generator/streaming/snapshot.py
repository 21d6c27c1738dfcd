"""Snapshots: everything that a stream's future depends on, as a value and as a file of some tens of KB (a take).

A take is a safetensors file with tensors for h, c and the primer, and one JSON object with the rest. A digest covers
every byte. `docs/take.md` describes the format.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.model.state import State
from generator.streaming.origin import LARGEST_TOKEN, OPTIONS, READ_ERRORS, Change, Origin, checked, refuse_newer
from generator.tokenizers.base import LARGEST_COUNT, Rows, whole
from generator.tokenizers.loop_detector import LoopDetector

LARGEST = 64 * 2**20
"""The maximum size of a file in bytes."""
KEYFRAME_EVERY = 256
"""Tokens between two keyframes. Keyframes more often would be costly with many streams."""
PERMANENT_EVERY = 32
"""Every keyframe at a multiple of this is permanent: it is kept as long as its stream."""
NO_DIGEST = "0" * 64
"""The placeholder for the digest while it is computed."""
DRUMS = "drums"
"""The tensor that holds the bytes of the drummer's take."""
TENSORS = {"h": np.dtype(np.float32), "c": np.dtype(np.float32), "primer": np.dtype(np.int32)}


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Origin):
    """The state of a stream between two tokens, and its origin.

    `token` is the last token, which the model has not read yet. `decoder` is the decoder's state, including the
    grammar's memory, the clock and the sounding notes. `relaxed` counts how often each constraint was relaxed. `match`
    is the memory of the search for copies; a file contains it only if `max_copy` was ever set. `detector` is the
    governor's loop detector, None in takes older than the governor. `drums` is the state of the drummer.
    """

    state: State
    token: int
    decoder: dict[str, Any]
    relaxed: dict[str, int] = field(default_factory=dict)
    match: Rows | None = None
    detector: LoopDetector | None = None
    drums: Snapshot | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        return f"<Snapshot of {self.wanted} at token {self.position:,}>"

    def __eq__(self, other: object) -> bool:
        """Whether all of it is equal, bit for bit."""
        return isinstance(other, Snapshot) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The bytes of the take; equal snapshots give equal bytes."""
        tensors = {"h": self.state.h, "c": self.state.c, "primer": np.array(self.primer, TENSORS["primer"])}
        if self.drums is not None:
            tensors[DRUMS] = np.frombuffer(self.drums.to_bytes(), np.uint8)
        fields = {
            "digest": NO_DIGEST,
            **self.facts(),
            "token": self.token,
            "decoder": self.decoder,
            "yielded": self.relaxed,
            **({"followed": self.match.tolist()} if self.limited and self.match is not None else {}),
            **({"watch": self.detector.state()} if self.detector is not None else {}),
        }
        data = save(tensors, {"carousel": json.dumps(fields)})
        return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)

    def save(self, path: str | Path) -> None:
        """Write the take; CarouselError if the file cannot be written."""
        data = self.to_bytes()
        with atomic_write(path) as file:
            file.write(data)

    @staticmethod
    def load(path: str | Path) -> Snapshot:
        """Read a take.

        Raises:
            CarouselError: the file is missing, truncated, edited, not a take, or from a newer version.
        """
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST:
                raise CarouselError(f"{path}: larger than {LARGEST >> 20} MB; this is not a take")
            data = path.read_bytes()
        except OSError as error:
            raise CarouselError(f"{path}: cannot read: {error.strerror}; name a take that exists") from error
        try:
            return Snapshot.from_bytes(data)
        except CarouselError as error:
            raise CarouselError(f"{path}: ", *error.args) from error

    @staticmethod
    def from_bytes(data: bytes) -> Snapshot:
        """Read the bytes of a take.

        Raises:
            CarouselError: they are cut off, edited, not those of a take, or from a newer version.
        """
        try:
            return _read(data)
        except (SafetensorError, *READ_ERRORS) as error:
            raise CarouselError("cut off or not a take; choose another file") from error


def _read(data: bytes, has_drums: bool = True) -> Snapshot:
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    fields = json.loads(header["__metadata__"]["carousel"])
    refuse_newer(fields)
    blank = data.replace(fields["digest"].encode(), NO_DIGEST.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != fields["digest"]:
        raise CarouselError("changed since it was saved; take an unharmed copy")
    packed = tensors.pop(DRUMS, None)
    if packed is not None and (packed.dtype != np.uint8 or packed.ndim != 1 or not has_drums):
        raise ValueError(DRUMS)
    drums = None if packed is None else _read(packed.tobytes(), has_drums=False)
    if {name: tensor.dtype for name, tensor in tensors.items()} != TENSORS or tensors["primer"].ndim != 1:
        raise ValueError("tensors")
    h, c = tensors["h"], tensors["c"]
    if h.shape != c.shape or h.ndim != 2 or not np.isfinite([h, c]).all() or np.abs(h).max() > 1:
        raise ValueError("state")
    relaxed = dict(fields["yielded"])
    if relaxed.keys() - OPTIONS:
        raise ValueError("yielded")
    match = fields.get("followed")
    if match is not None:
        match = np.array([whole(value, -LARGEST_COUNT, LARGEST_COUNT) for value in match], np.int64)
    detector = fields.get("watch")
    return Snapshot(
        **checked(fields, tensors["primer"].tolist(), drums),
        state=State(h, c),
        token=whole(fields["token"], 0, LARGEST_TOKEN),
        decoder=dict(fields["decoder"]),
        relaxed={name: whole(count, 1, LARGEST_COUNT) for name, count in relaxed.items()},
        match=match,
        detector=None if detector is None else LoopDetector.from_state(detector),
    )


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A point to which its stream can go back. Permanent keyframes are compressed."""

    position: int
    kept: Snapshot | bytes
    match: Rows | None
    corpus: str

    @staticmethod
    def of(snapshot: Snapshot) -> Keyframe:
        place = snapshot.position // KEYFRAME_EVERY
        kept: Snapshot | bytes = snapshot
        if place and place % PERMANENT_EVERY == 0:
            alone = replace(snapshot, timeline=((0, snapshot.options),), primer=(), injected=(), match=None, song=None)
            kept = zlib.compress(alone.to_bytes())
        return Keyframe(snapshot.position, kept, snapshot.match, snapshot.corpus)

    def snapshot(self, timeline: tuple[Change, ...], primer: tuple[int, ...]) -> Snapshot:
        """The snapshot, with the stream's timeline and primer, which keyframes do not store."""
        found = _read(zlib.decompress(self.kept)) if isinstance(self.kept, bytes) else self.kept
        return replace(found, timeline=timeline, primer=primer, match=self.match, corpus=self.corpus)


def thinned(keyframes: Sequence[Keyframe], position: int) -> list[Keyframe]:
    """The keyframes that a stream keeps at a position: one for each doubling of their age, and the permanent ones.

    So going back by n tokens draws at most about n tokens again, and never more than `PERMANENT_EVERY` times
    `KEYFRAME_EVERY`.
    """
    now = position // KEYFRAME_EVERY

    def stays(place: int) -> bool:
        return now > place and (place % PERMANENT_EVERY == 0 or place % (1 << (now - place).bit_length() - 1) == 0)

    return [keyframe for keyframe in keyframes if stays(keyframe.position // KEYFRAME_EVERY)]
