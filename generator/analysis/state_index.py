"""An index of the states in a training split: for each token, which cells of the top layer are high.

A cell is high above its 75th percentile. Two steps are alike if the same cells are high; a span is like another one if
it is so step by step. That a span is looked for by cells above a threshold is the idea of LSTMVis (Strobelt et al.
2016, "Visual Analysis of Hidden State Dynamics in Recurrent Neural Networks"). A unit is one bit of each token, so 512
units take 64 bytes a token. A search compares the last step of the span with every token, which counts bits; and then,
where that is most alike, the whole span.

The index lies in the cache, in a folder for each pair of checkpoint and dataset, which appears whole. `index.json` has
the thresholds; `bits` is one array, (words, tokens), little-endian uint64: bit u % 64 of word u // 64 is unit u.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from generator.analysis.reading import Stretches
from generator.corpora.dataset import TokenDataset
from generator.corpora.download import CACHE, cache_folder
from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone
from generator.foundation.terminal import tell
from generator.model.backends import Backend, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats
from generator.streaming.course import Progress, quiet
from generator.tokenizers.base import Tokens

FORMAT = 1
WORD = 64
PERCENTILE = 75
LONGEST = 256
"""The most steps of a span."""
STRETCHES, SLICE, SAMPLED = 128, 2**19, 64
"""How many stretches are read side by side, the tokens that are read by one thread, and the steps of each of the
stretches that the percentiles are taken from."""
THREADS = min(4, os.cpu_count() or 1)
CHUNK = 2**15
"""Tokens that are searched together, in the processor's cache."""
NEAREST, CANDIDATES = 512, 1024
"""The number of candidate tokens of each chunk, and the number of all candidates that are compared step by step."""

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class StateIndex:
    """The index of one checkpoint and one training split."""

    bits: Words
    """(words, tokens)."""
    thresholds: Floats
    """(units,)."""

    @staticmethod
    def open(checkpoint: Checkpoint, dataset: TokenDataset, progress: Progress = quiet) -> StateIndex:
        """The index from the cache, or newly built, which takes about 10 s for a million tokens.

        Raises:
            CarouselError: there is no training split, or the cache cannot be written.
        """
        tokens = dataset.split("train").tokens
        digest = hashlib.sha256(f"{FORMAT}\0{checkpoint.fingerprint}\0{dataset.key}".encode()).hexdigest()[:16]
        folder = cache_folder() / "states" / f"{Path(dataset.facts.name).stem[:40]}-{digest}"
        shape = -(-checkpoint.config.hidden_size // WORD), len(tokens)
        found = _load(folder, shape)
        if found is None:

            def wait_for() -> None:
                tell(f"{dataset.facts.name}: another process is making its index of states; waiting")

            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                with alone(folder.with_name(f".{folder.name}.lock"), wait_for, f"set {CACHE} to another folder"):
                    found = _load(folder, shape) or _build(checkpoint, tokens, folder, shape, progress)
            except OSError as error:
                reason = f"{error.filename or folder}: {error.strerror or error}"
                raise CarouselError(f"{reason}; free some space or set {CACHE} to another folder") from error
        return found

    def query(self, cells: Floats) -> Words:
        """What to look for, (steps, words), given the cells of a span, (steps, layers, units).

        Raises:
            CarouselError: the span has no steps or too many, or is another model's.
        """
        if not 1 <= len(cells) <= LONGEST:
            raise CarouselError(f"a span of {len(cells):,} tokens; give one of 1 to {LONGEST}")
        if cells.shape[2:] != self.thresholds.shape:
            raise CarouselError("this span was read by another model; trace it with the one that is asked")
        return _packed(cells[:, -1] > self.thresholds)

    def likeness(self, query: Words, firsts: npt.NDArray[np.int64]) -> Floats:
        """How much each step of a query is like that of the spans that begin at `firsts`, (spans, steps), from 0 to 1:
        twice the cells that are high in both, by those that are high in either, counted together (Dice 1945)."""
        both, all_ = np.zeros((2, len(firsts), len(query)), np.int64)
        places = firsts[:, np.newaxis] + np.arange(len(query))
        for row, word in zip(self.bits, query.T, strict=True):
            there = row[places]
            both += np.bitwise_count(there & word)
            all_ += np.bitwise_count(there).astype(np.int64) + np.bitwise_count(word)
        return (2 * both / np.maximum(all_, 1)).astype(np.float32)

    def search(self, query: Words, offsets: npt.NDArray[np.int64], count: int) -> list[int]:
        """Where the spans begin that are most like a query, the best first, at most `count`. They do not overlap, and
        each is within one piece; `offsets` says where those begin."""
        steps = len(query)
        chunks = range(steps - 1, self.bits.shape[1], CHUNK)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(partial(self._nearest, query[-1]), chunks))
        if not parts:
            return []
        ends, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
        whole = offsets[np.searchsorted(offsets, ends, side="right") - 1] <= ends - steps + 1
        ends, distances = ends[whole], distances[whole]
        some = min(CANDIDATES, len(ends))
        firsts = ends[np.argpartition(distances, some - 1)[:some]] - steps + 1 if some else ends
        order = np.argsort(-self.likeness(query, firsts).mean(1), kind="stable")
        chosen: list[int] = []
        for place in firsts[order].tolist():
            if len(chosen) < count and all(abs(place - other) >= steps for other in chosen):
                chosen.append(place)
        return chosen

    def _nearest(self, state: Words, first: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
        """The tokens of a chunk whose states differ least from `state`, and in how many cells they do."""
        past = min(first + CHUNK, self.bits.shape[1])
        distances = np.zeros(past - first, np.uint16)
        for row, word in zip(self.bits, state, strict=True):
            distances += np.bitwise_count(row[first:past] ^ word)
        some = min(NEAREST, len(distances))
        nearest = np.argpartition(distances, some - 1)[:some]
        return first + nearest, distances[nearest]


def _load(folder: Path, shape: tuple[int, int]) -> StateIndex | None:
    """The index in a folder; None if there is none, or it is damaged."""
    try:
        thresholds = np.array(json.loads((folder / "index.json").read_bytes())["thresholds"], np.float32)
        if (folder / "bits").stat().st_size != 8 * shape[0] * shape[1] or -(-len(thresholds) // WORD) != shape[0]:
            return None
        return StateIndex(np.asarray(np.memmap(folder / "bits", "<u8", "r", shape=shape)), thresholds)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(
    checkpoint: Checkpoint, tokens: Tokens, folder: Path, shape: tuple[int, int], progress: Progress
) -> StateIndex:
    for left in folder.parent.glob(f".{folder.name}.????????"):  # of a killed process
        shutil.rmtree(left, ignore_errors=True)
    backend = prepare("int8", checkpoint)
    features = checkpoint.tokenizer.grammar.features_before(tokens)
    stretches_of = partial(Stretches, tokens, checkpoint.tokenizer.start, features)
    thresholds = _thresholds(backend, stretches_of(0, len(tokens)))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        bits: Words = np.memmap(made / "bits", "<u8", "w+", shape=shape)
        starts = range(0, len(tokens), SLICE)
        done, stop = [0] * len(starts), Event()

        def fill(number: int) -> None:
            first, past = starts[number], min(starts[number] + SLICE, len(tokens))
            stretches = stretches_of(first, past, STRETCHES)
            found = np.empty((stretches.count, stretches.length, shape[0]), np.uint64)
            for step, cells in _top_cells(backend, stretches):
                found[:, step] = _packed(cells > thresholds)
                done[number] = min(past - first, (step + 1) * stretches.count)
                if stop.is_set():
                    return
            bits[:, first:past] = found.reshape(-1, shape[0])[: past - first].T

        with ThreadPoolExecutor(THREADS) as pool:
            try:
                waiting = {pool.submit(fill, number) for number in range(len(starts))}
                while waiting:
                    finished, waiting = wait(waiting, timeout=0.2)
                    for future in finished:
                        future.result()
                    progress("reading the training split", sum(done), len(tokens))
            finally:
                stop.set()
        cast(np.memmap[Any, Any], bits).flush()
        (made / "index.json").write_text(json.dumps({"thresholds": thresholds.tolist()}), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    found = _load(folder, shape)
    if found is None:
        raise CarouselError(f"{folder}: what was written cannot be read back; check the disk or set {CACHE}")
    return found


def _top_cells(backend: Backend, stretches: Stretches) -> Iterator[tuple[int, Floats]]:
    """The cells of the top layer at each step, (stretches, units), which the next step overwrites."""
    memory = backend.memory(stretches.count)
    for step in stretches.read(backend, memory):
        yield step, memory.rows.c[-1, :, : backend.config.hidden_size]


def _thresholds(backend: Backend, stretches: Stretches) -> Floats:
    """The percentiles in short parts from all over the split."""
    some = []
    for step, cells in _top_cells(backend, stretches):
        some.append(cells.copy())
        if step + 1 == SAMPLED:
            break
    return np.percentile(np.concatenate(some), PERCENTILE, axis=0).astype(np.float32)


def _packed(high: npt.NDArray[np.bool_]) -> Words:
    """Truth values, (rows, units), as bits, (rows, words)."""
    padded = np.zeros((len(high), -(-high.shape[1] // WORD) * WORD), np.bool_)
    padded[:, : high.shape[1]] = high
    return np.packbits(padded, axis=1, bitorder="little").view("<u8")
