"""What is read, tokenised, decoded and written is what another program reads in the original: every note that no report
gives for lost, within the times and velocities that the reports say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import pretty_midi
import pytest

from generator.corpora import entries, open_corpus
from generator.corpora.groove import GrooveCorpus
from generator.corpora.pop909 import BEATS, Pop909Corpus
from generator.music import midi
from generator.music.score import Clock, Score
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.drums_grammar import VELOCITIES
from generator.tokenizers.score import ScoreTokenizer

Floats = npt.NDArray[np.float64]
Lines = dict[tuple[str, int], Floats]
"""The notes of each pitch of each instrument, as rows of onset, end and velocity, by onset."""
ROUNDED = 0.501 / 480
"""In quarters: songs are put into bars with 480 ticks a quarter, each end of a note to the nearest tick."""


def lines(notes: Mapping[tuple[str, int], list[tuple[float, float, int]]]) -> Lines:
    """Notes by onset."""
    return {line: np.array(sorted(several)) for line, several in notes.items()}


def struck_again(notes: Floats) -> int:
    """End notes of one pitch where it is struck again; returns how many were. A file does not say which of two that
    sound at once ends first."""
    later = np.append(notes[:, 0], np.inf)[np.searchsorted(notes[:, 0], notes[:, 0], side="right")]
    count = int((notes[:, 1] > later).sum())
    notes[:, 1] = np.minimum(notes[:, 1], later)
    return count


def heard_by_pretty_midi(path: Path, keys: Mapping[int, int] | None = None) -> Lines:
    """The notes of a file, in seconds; `keys` are pitches that count as others. Notes that end at the tick at which
    they begin, which it leaves out, come from mido."""
    file = pretty_midi.PrettyMIDI(str(path))
    played = [(i.name.strip(), n.start, n.end, n.pitch, n.velocity) for i in file.instruments for n in i.notes]
    silent: Counter[tuple[str, float, int, int]] = Counter()
    for track in mido.MidiFile(path).tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                silent[track.name.strip(), file.tick_to_time(now), message.note, message.velocity] += 1
    silent.subtract((name, start, pitch, velocity) for name, start, _, pitch, velocity in played)
    played += [(name, start, start, pitch, velocity) for name, start, pitch, velocity in silent.elements()]
    found = defaultdict(list)
    for name, start, end, pitch, velocity in played:
        found[name, (keys or {}).get(pitch, pitch)].append((start, end, velocity))
    return lines(found)


def heard_by_mido(path: Path) -> Lines:
    """The notes of a file, in quarters."""
    file = mido.MidiFile(path)
    found = defaultdict(list)
    for track in file.tracks:
        now, sounding = 0, dict[int, tuple[int, int]]()
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                assert message.note not in sounding, "a pitch sounds twice at once"
                sounding[message.note] = now, message.velocity
            elif message.type in ("note_on", "note_off"):
                start, velocity = sounding.pop(message.note)
                times = start / file.ticks_per_beat, now / file.ticks_per_beat
                found[track.name, message.note].append((*times, velocity))
        assert not sounding, "a note never ends"
    return lines(found)


def in_seconds(heard: Lines, clock: Clock) -> Lines:
    """Notes in quarters as notes in seconds."""

    def seconds(quarters: float) -> float:
        return clock.seconds(quarters * clock.ticks_per_quarter)

    return {
        line: np.array([(seconds(start), seconds(end), velocity) for start, end, velocity in notes])
        for line, notes in heard.items()
    }


def in_quarters(heard: Lines, beats: Path) -> Lines:
    """Notes in seconds as notes in quarters, counted along a file of beats. These go on before the first and behind the
    last one."""
    table = np.loadtxt(beats)
    marked, strong = table[:, 0], np.diff(np.flatnonzero(table[:, 1]))
    ends = [notes[:, 1].max() for notes in heard.values()]
    earlier = np.arange(marked[0], -20, marked[0] - marked[1])[:0:-1]
    later = np.arange(marked[-1], max(ends) + 20, marked[-1] - marked[-2])[1:]
    times = np.concatenate((earlier, marked, later))
    quarters = np.arange(len(times)) * (0.5 if np.bincount(strong).argmax() == 3 else 1.0)
    return {
        line: np.column_stack((np.interp(notes[:, :2], times, quarters), notes[:, 2])) for line, notes in heard.items()
    }


def kept(original: Floats, written: Floats, onset: float, classes: Floats) -> list[tuple[int, int]]:
    """For each written note the one that it was, as pairs of indices: a note that nothing else was made of, as near as
    `onset`, whose velocity has its class; of several the one that ends nearest."""
    pairs, free = [], np.ones(len(original), bool)
    loud = np.abs(classes - original[:, 2:]).min(1) if classes.size else None
    for index, (start, end, velocity) in enumerate(written):
        fits = free & (np.abs(original[:, 0] - start) <= onset)
        if loud is not None:
            fits &= np.abs(original[:, 2] - velocity) == loud
        assert fits.any(), f"a note was added at {start}"
        nearest = int(np.where(fits, np.abs(original[:, 1] - end), np.inf).argmin())
        free[nearest] = False
        pairs.append((nearest, index))
    return pairs


def comes_back(score: Score, folder: Path, tokenizer: ScoreTokenizer, path: Path) -> int:
    """Check one song; returns how many of its notes came back."""
    tokens, report = tokenizer.encoded(score)
    decoded = tokenizer.decode(tokens)
    midi.write(decoded, path)
    written, original = heard_by_mido(path), heard_by_pretty_midi(folder / f"{folder.name}.mid")
    again, exact = heard_by_pretty_midi(path), in_seconds(written, decoded.clock())
    assert again.keys() == exact.keys()
    assert all(np.abs(again[line] - exact[line]).max() < 1e-3 for line in exact), "other readers hear the same times"
    played = in_quarters(original, folder / BEATS)
    first = min(notes[0, 0] for notes in played.values()) - min(notes[0, 0] for notes in written.values())
    opening = round(2 * first) / 2  # the song begins with a beat
    assert abs(first - opening) <= report.max_onset_error_quarters + ROUNDED
    assert written.keys() <= played.keys()
    shorter = longer = overlaps = 0
    for line, notes in played.items():
        notes[:, :2] -= opening
        overlaps += struck_again(notes)
        mine = written.get(line, np.empty((0, 3)))
        pairs = kept(notes, mine, report.max_onset_error_quarters + ROUNDED, tokenizer.table.velocities)
        for was, found in pairs:
            changed = (mine[found, 1] - mine[found, 0]) - (notes[was, 1] - notes[was, 0])
            shorter += changed < -report.max_duration_error_quarters - 2 * ROUNDED
            longer += changed > report.max_duration_error_quarters + 2 * ROUNDED
    assert sum(map(len, played.values())) - sum(map(len, written.values())) == report.dropped + told(score, "left out")
    assert shorter <= report.cut + told(score, "cut") and longer <= overlaps
    return sum(map(len, written.values()))


def told(score: Score, fate: str) -> int:
    """How many notes the reader says to have met this fate."""
    return sum(each.count for each in score.omissions if each.thing.endswith("note") and each.fate.startswith(fate))


def songs_come_back(every: int, path: Path) -> int:
    corpus = open_corpus("pop909")
    assert isinstance(corpus, Pop909Corpus)
    names = corpus.songs()[::every]
    corpus.songs = lambda: names  # type: ignore[method-assign]
    scores = [piece.content for _, piece in corpus.read() if isinstance(piece.content, Score)]
    assert len(scores) + len(corpus.skipped) == len(names)
    tokenizer = ScoreTokenizer.fit(scores)
    return sum(comes_back(score, corpus.folder / score.title, tokenizer, path) for score in scores)


def test_songs_come_back(mirror: Path, tmp_path: Path) -> None:
    assert songs_come_back(32, tmp_path / "a.mid") > 24 * 1000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_songs_come_back(mirror: Path, tmp_path: Path) -> None:
    assert songs_come_back(1, tmp_path / "a.mid") > 1_300_000


def drums_come_back(every: int, path: Path) -> None:
    corpus = open_corpus("groove-drums")
    assert isinstance(corpus, GrooveCorpus)
    keys = {int(key): instead for key, instead in entries()["groove-drums"]["keys"].items()}
    rows = corpus._rows()[::every]
    corpus._rows = lambda: rows  # type: ignore[method-assign]
    pieces = [piece for _, piece in corpus.read()]
    assert len(pieces) + len(corpus.skipped) == len(rows)
    tokenizer = DrumsTokenizer.fit([piece.content for piece in pieces if isinstance(piece.content, Score)])
    errors: list[float] = []
    for piece in pieces:
        assert isinstance(piece.content, Score)
        tokens, report = tokenizer.encoded(piece.content)
        midi.write(tokenizer.decode(tokens), path)
        original, written = heard_by_pretty_midi(corpus.folder / piece.name, keys), heard_by_pretty_midi(path)
        gone = report.dropped + told(piece.content, "left out")
        assert sum(map(len, original.values())) - sum(map(len, written.values())) == gone
        faster = tempo(corpus.folder / piece.name) / tempo(path)
        for (_, pitch), hits in original.items():
            mine = written["Drums", pitch]
            there = mine * (faster, faster, 1)
            pairs = kept(hits, there, report.max_onset_error_ms / 1000 + 1e-4, np.array(VELOCITIES))
            errors += [abs(hits[was, 0] - mine[found, 0]) for was, found in pairs]
    assert np.median(errors) < 0.005 and len(errors) > 200_000 / every


def tempo(path: Path) -> float:
    """The first tempo of a file, in microseconds a quarter."""
    return next(float(message.tempo) for message in mido.MidiFile(path).tracks[0] if message.type == "set_tempo")


def test_drums_come_back(mirror: Path, tmp_path: Path) -> None:
    drums_come_back(30, tmp_path / "a.mid")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_drums_come_back(mirror: Path, tmp_path: Path) -> None:
    drums_come_back(1, tmp_path / "a.mid")
