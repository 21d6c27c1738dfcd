"""A stream's frozen value: everything that its future depends on, in a file of a few tens of KB (a take).

The file is safetensors. Tensors: `h` and `c` (layers, hidden_size), fp32, and `primer` (tokens,), int32. The metadata
key `carousel` holds one JSON object with the other fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from generator.atomic import atomic_write
from generator.errors import CarouselError
from generator.model.state import State
from generator.options import SamplingOptions

VERSION = 1
LARGEST = 64 * 2**20
"""Bytes; a larger file is refused unread."""

Change = tuple[int, SamplingOptions]
"""From this position on, these options hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A point in a stream's life.

    `position` counts the tokens so far, the primer's included; `token` is the last of them, not yet fed to the model;
    `timeline` begins at position 0 and holds every change of options; `decoder` is the decoder's state; `yielded` says
    how often each constraint has yielded.
    """

    fingerprint: str
    backend: str
    state: State
    token: int
    position: int
    timeline: tuple[Change, ...]
    primer: tuple[int, ...]
    decoder: dict[str, Any]
    yielded: dict[str, int] = field(default_factory=dict)

    @property
    def options(self) -> SamplingOptions:
        """The options in force."""
        return self.timeline[-1][1]

    def save(self, path: str | Path) -> None:
        """Write a take."""
        tensors = {
            "h": self.state.h,
            "c": self.state.c,
            "primer": np.array(self.primer, np.int32),
        }
        fields = {
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "backend": self.backend,
            "token": self.token,
            "position": self.position,
            "timeline": [[position, asdict(options)] for position, options in self.timeline],
            "decoder": self.decoder,
            "yielded": self.yielded,
        }
        with atomic_write(path) as file:
            file.write(save(tensors, {"carousel": json.dumps(fields)}))

    @staticmethod
    def load(path: str | Path) -> Snapshot:
        """Read a take.

        Raises:
            CarouselError: the file is missing, cut off, not a take, or from a newer version.
        """
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST:
                raise CarouselError(f"{path}: larger than {LARGEST >> 20} MB; this is not a take")
            data = path.read_bytes()
        except OSError as error:
            raise CarouselError(f"{path}: cannot read: {error.strerror}; name a take that exists") from error
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            fields = json.loads(header["__metadata__"]["carousel"])
            if fields["version"] > VERSION:
                raise CarouselError(f"{path}: made by a newer Carousel; update this one")
            h, c = tensors["h"].astype(np.float32), tensors["c"].astype(np.float32)
            timeline = tuple((int(position), SamplingOptions(**options)) for position, options in fields["timeline"])
            positions = [position for position, _ in timeline]
            if positions[0] != 0 or sorted(positions) != positions or positions[-1] > fields["position"]:
                raise ValueError("timeline")
            if h.shape != c.shape or h.ndim != 2 or not np.isfinite([h, c]).all() or np.abs(h).max() > 1:
                raise ValueError("state")
            return Snapshot(
                fingerprint=str(fields["fingerprint"]),
                backend=str(fields["backend"]),
                state=State(h, c),
                token=int(fields["token"]),
                position=int(fields["position"]),
                timeline=timeline,
                primer=tuple(tensors["primer"].tolist()),
                decoder=dict(fields["decoder"]),
                yielded={str(name): int(count) for name, count in dict(fields.get("yielded", {})).items()},
            )
        except (
            SafetensorError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise CarouselError(f"{path}: cut off or not a take; choose another file") from error
