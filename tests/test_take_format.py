"""`docs/take.md` says what stands in a take: every byte has its meaning there, and no field is missing or too many."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.music import midi
from generator.music.song import Song
from generator.streaming import origin
from generator.streaming.band import Band
from generator.streaming.engine import Engine, Model
from generator.streaming.origin import LARGEST_TOKEN, LATER_OPTIONS, read_text
from generator.streaming.snapshot import Snapshot
from generator.tokenizers import KINDS
from tests.conftest import ROOT, four_voices, music_for, tiny
from tests.test_copies import index_of

DOCUMENT = (ROOT / "docs" / "take.md").read_text(encoding="utf-8")
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "list": list, "object": dict}


def documented(head: str) -> dict[str, str]:
    """The names in the first column of the table with this head, and what the second column says of each."""
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", DOCUMENT, re.M)
    assert table, head
    rows = [line.strip("| ").split(" | ") for line in table[1].splitlines()]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


def read(take: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """A take by the document alone: its fields and its tensors."""
    length = int.from_bytes(take[:8], "little")
    assert length % 8 == 0
    header = json.loads(take[8 : 8 + length].decode("utf-8"))
    [(name, text)] = header.pop("__metadata__").items()
    facts = json.loads(text)
    assert name == "carousel" and next(iter(facts)) == "digest"
    blank = take.replace(facts["digest"].encode(), b"0" * 64, 1)
    assert hashlib.sha256(blank).hexdigest() == facts["digest"]
    tensors, at, rest = {}, 0, take[8 + length :]
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        assert begin == at and documented("tensor")[name] == entry["dtype"]
        tensors[name] = np.frombuffer(rest[begin:end], {"F32": "<f4", "I32": "<i4", "U8": "u1"}[entry["dtype"]])
        tensors[name] = tensors[name].reshape(entry["shape"])
        at = end
    assert at == len(rest)
    return facts, tensors


@cache
def takes(kind: str) -> list[bytes]:
    """Of streams with a primer, changed options, constraints, a melody, a limit on copies, and phrases that they heard:
    what the engine can do with this kind."""
    model = Model(tiny(kind))
    text = kind == "char"
    primer: Any = "to be or not" if text else music_for(kind, 2)
    heard = model.stream(primer, seed=3, temperature=0.5)
    heard.pull(120)
    heard.set(temperature=1.3, **({"characters": "abc "} if text else {}))
    heard.pull(60)
    streams = [model.stream(seed=2), heard]
    if kind not in ("frames", "drums"):
        heard.listen("a phrase" if text else four_voices(1))
        index = index_of(model.tokenizer, [model.tokenizer.collect(model.stream(seed=1).pull(300))])
        streams.append(Engine(model, index=index).stream(seed=1, max_copy=2))
    if kind == "score":
        melody = model.melody(four_voices(2), "Soprano")
        streams.append(model.stream(seed=4, melody=melody, key="C major", density=1, voices_at_once=1))
    if model.tokenizer.bar_lines:
        song = Song(midi.to_bytes(primer), ((1, 0, 80),) * len(model.tokenizer.voices))
        streams.append(model.engine().stream(primer, song=song, seed=5))
    found = []
    for stream in streams:
        for _ in range(6):
            found.append(stream.snapshot().to_bytes())
            stream.pull(29)
    return [*found, *(stream.snapshot().to_bytes() for stream in streams)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_names_every_field_of_a_take_and_no_other(kind: str) -> None:
    table = documented("field")
    names: set[str] = set()
    states: dict[str, set[str]] = {"decoder": set(), "watch": set()}
    for take in takes(kind):
        facts, tensors = read(take)
        assert set(tensors) == set(documented("tensor")) - {"drums"}
        names |= set(facts)
        for name, value in facts.items():
            assert isinstance(value, TYPES[table[name].split()[0]]), name
        for name, found in states.items():
            found |= set(facts[name])
        for part in {"memory", "history"} & set(facts["decoder"]):
            assert set(facts["decoder"][part]) == set(documented(f"`{part}` of `{kind}`"))
    beyond = {"heard", "corpus", "followed"} if kind in ("frames", "drums") else set()
    beyond |= {"entries"} if kind in ("score", "drums") else {"entries", "song"}
    assert names == set(table) - beyond
    assert states["decoder"] == set(documented(f"state of `{kind}`"))
    assert states["watch"] == set(documented("field of `watch`"))


def test_a_drummer_is_in_its_fields() -> None:
    """A take of a band has the drummer's take in a tensor, and its origin the drummer's."""
    stream, drums = Model(tiny("score")).stream(seed=2), Model(tiny("drums")).stream(seed=2)
    band = Band(stream, drums)
    list(band.take(60))
    facts, tensors = read(band.snapshot().to_bytes())
    assert set(tensors) == set(documented("tensor"))
    assert facts["version"] == 5 and facts["entries"] == [0]
    inner, _ = read(tensors["drums"].tobytes())
    assert inner["position"] == drums.position
    take = band.snapshot()
    nested = replace(take, drums=take)
    with pytest.raises(CarouselError, match="not a take"):
        Snapshot.from_bytes(nested.to_bytes())
    origin_facts = json.loads(band.snapshot().text())
    assert json.loads(origin_facts["drums"])["position"] == drums.position


def test_the_document_names_every_option() -> None:
    facts, _ = read(takes("char")[0])
    table = documented("option")
    (at, first), *_ = facts["timeline"]
    assert at == 0 and list(table) == [spec.name for spec in fields(SamplingOptions)]
    assert list(first) == [name for name in table if name not in LATER_OPTIONS]
    for name, value in first.items():
        kinds = table[name].split(" or ")
        assert (value is None and kinds[-1] == "null") or isinstance(value, TYPES[kinds[0]]), name


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"char"}))
def test_the_document_names_every_field_of_an_origin(kind: str) -> None:
    model = Model(tiny(kind))
    stream = model.stream(music_for(kind, 2), seed=3)
    stream.pull(50)
    facts = json.loads(stream.snapshot().text(instruments={"Piano": 6}, landmarks=True))
    always = {"version", "checkpoint", "fingerprint", "backend", "position", "timeline"}
    assert set(facts) == always | set(documented("field of the origin")) - {"drums"}


def test_a_token_is_two_bytes_at_most(tmp_path: Path) -> None:
    snapshot = replace(Model(tiny("char")).stream("ab", seed=3).snapshot(), primer=(0, LARGEST_TOKEN))
    snapshot.save(tmp_path / "a.take")
    assert Snapshot.load(tmp_path / "a.take").primer == (0, 65_535)
    assert read_text(snapshot.text())[0].primer == (0, 65_535)
    for beyond in (65_536, -1):
        replace(snapshot, primer=(0, beyond)).save(tmp_path / "b.take")
        with pytest.raises(CarouselError, match=r"b\.take: cut off or not a take"):
            Snapshot.load(tmp_path / "b.take")


def test_64_megabytes_are_the_most_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.take"
    for size, words in ((64 << 20, "not a take"), ((64 << 20) + 1, "larger than 64 MB; this is not a take")):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(CarouselError, match=words):
            Snapshot.load(path)


def test_tokens_are_packed_in_letters_of_base64_alone() -> None:
    packed = origin._packed((1, 2, 3))
    assert origin._unpacked(packed, 3) == [1, 2, 3]
    for wrong in (f"*{packed}", f"{packed}\n", packed[:-1]):
        with pytest.raises(ValueError, match=r"base64|padding"):
            origin._unpacked(wrong, 3)
