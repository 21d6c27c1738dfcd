"""Reads and writes Standard MIDI Files.

Files are read with symusic, which reads about 4,000 piano performances a second. What it would refuse, misread or drop
without a message `midi_scan` finds, and `repair` makes plain. Controllers other than the sustain pedal are left out.

Files are written with mido, so that the same score gives the same bytes and is read back with the same ticks.
pretty_midi keeps times in seconds, which is not exact; only its names of the programs are used.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Omission, omissions_of
from generator.music import repair
from generator.music.midi_scan import is_plain
from generator.music.notes import Columns, Events, Notes
from generator.music.origin import NAME
from generator.music.score import Pedal, Score, Tempo, TimeSignature, Voice
from generator.music.voices import OVERLAPPED, without_overlaps

MAX_BYTES = 16 * 2**20
"""Larger files are refused. A minute of dense piano music takes 20 kB."""
MAX_SECONDS = 24 * 3600.0
MAX_QUARTERS = 500_000
RESOLUTION = 480
"""The least ticks a quarter in a written file, in which they are a multiple of the score's."""
DRUM_CHANNEL = 9
"""Channels are counted from 0."""
PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
SUSTAIN = 64
"""The controller number of the sustain pedal."""
PEDAL_DOWN = 64
"""The least value of the sustain pedal that counts as down."""


def read(data: bytes | str | Path, name: str = "") -> Score:
    """Read a Standard MIDI File from bytes or a path. Each track and channel becomes a voice; ticks are the file's.

    Args:
        name: the name for errors and for the title; by default the path.

    Raises:
        CarouselError: the file cannot be read, is damaged, too large or too long, or has no notes.
    """
    if not isinstance(data, bytes):
        path = Path(data)
        name = name or str(path)
        try:
            size = path.stat().st_size
            data = b"" if size > MAX_BYTES else path.read_bytes()
        except OSError as error:
            raise CarouselError(
                f"{name}: cannot be read ({error.strerror}); check the path and its permissions"
            ) from error
    else:
        size = len(data)
    name = name or "the MIDI file"
    if size > MAX_BYTES:
        raise CarouselError(f"{name}: {size / 2**20:.0f} MB is too large for MIDI; the limit is {MAX_BYTES >> 20} MB")
    if not data:
        raise CarouselError(f"{name}: the file is empty; take it out or fetch it again")
    if not repair.unwrapped(data).startswith(b"MThd"):
        raise CarouselError(f"{name}: not a MIDI file; take it out or choose another")
    try:
        file, omissions = _parsed(data)
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise CarouselError(f"{name}: a damaged MIDI file; take it out or fetch it again") from error
    score = _score(file, Path(name).stem, omissions)
    if not score.notes:
        raise CarouselError(f"{name}: a MIDI file with no notes; take it out")
    if score.columns[0, 0] < 0 or score.end_ticks > MAX_QUARTERS * score.ticks_per_quarter:
        raise CarouselError(f"{name}: its times are out of range; take it out")
    if score.clock().seconds(score.end_ticks) > MAX_SECONDS:
        raise CarouselError(f"{name}: it lasts longer than a day; take it out")
    return score


def _parsed(data: bytes) -> tuple[Any, tuple[Omission, ...]]:
    """symusic's score of the bytes, and what was repaired before it could read them."""
    import symusic  # slow to import, like pretty_midi, and not needed for the suffixes alone

    omissions: tuple[Omission, ...] = ()
    if not is_plain(data):
        with suppress(ValueError):
            data, omissions = repair.repaired(data)
    return symusic.Score.from_midi(data), omissions


def _score(file: Any, title: str, omissions: tuple[Omission, ...]) -> Score:
    """Convert symusic's score. `omissions` are those of the repair."""
    metres = {
        change.time: TimeSignature(change.time, change.numerator, change.denominator)
        for change in file.time_signatures
        if change.time >= 0 and 0 < change.numerator < 256 and change.denominator in (1, 2, 4, 8, 16, 32, 64)
    }
    tempos = {
        change.time: Tempo(change.time, 60e6 / change.mspq)
        for change in file.tempos
        if change.time >= 0 and change.mspq > 0
    }
    # Equal events on several tracks count once, as nothing is lost.
    stated = (
        {(change.time, change.numerator, change.denominator) for change in file.time_signatures},
        {(change.time, change.mspq) for change in file.tempos},
    )
    left_out = {
        ("time signature", "left out: invalid, or at the same time as another one"): len(stated[0]) - len(metres),
        ("tempo", "left out: invalid, or at the same time as another one"): len(stated[1]) - len(tempos),
        ("pedal", "left out: it is never lifted"): sum(_ends_with_pedal(track) for track in file.tracks if track.notes),
        ("key signature", "left out: it has more than seven signs"): sum(
            not -7 <= change.key <= 7 for change in file.key_signatures
        ),
        ("pitch bend", "left out"): sum(len(track.pitch_bends) for track in file.tracks),
    }
    pedals: list[Columns] = []
    voices: list[Voice] = []
    notes: list[Columns] = []
    for track in file.tracks:
        if not track.notes:
            continue
        voice = len(voices)
        found = track.notes.numpy()
        columns = np.full((5, len(track.notes)), voice)
        columns[:4] = found["time"], found["duration"], found["pitch"], found["velocity"]
        notes.append(columns)
        pressed = track.pedals.numpy()
        moves = np.full((3, 2 * len(track.pedals)), voice)
        moves[0] = np.stack((pressed["time"], pressed["time"] + pressed["duration"]), axis=1).ravel()
        moves[1] = np.tile((1, 0), len(track.pedals))
        pedals.append(moves)
        voices.append(Voice(" ".join(track.name.split()) or f"Voice {voice + 1}", track.program, track.is_drum))
    played = np.concatenate([np.empty((5, 0), np.int64), *notes], axis=1)
    played[[1, 3]] = np.maximum(played[[1, 3]], 1)
    kept = without_overlaps(Notes(played))
    moved = np.concatenate([np.empty((3, 0), np.int64), *pedals], axis=1)
    at, down, feet = moved[:, np.argsort(moved[0], kind="stable")]
    left_out[OVERLAPPED] = played.shape[1] - len(kept)
    return Score(
        file.tpq,
        tuple(voices),
        kept,
        tuple(metres[time] for time in sorted(metres)),
        tuple(tempos[time] for time in sorted(tempos)),
        Events(Pedal, (at, down > 0, feet)),
        title=title,
        omissions=(*omissions, *omissions_of(left_out)),
    )


def _ends_with_pedal(track: Any) -> bool:
    """Whether the pedal is down at the end of a track, which symusic leaves out."""
    controls = track.controls.numpy()
    values = controls["value"][controls["number"] == SUSTAIN]
    return bool((values[-1:] >= PEDAL_DOWN).any())


def write(score: Score, path: str | Path) -> None:
    """Write a Standard MIDI File, whole or not at all.

    Raises:
        CarouselError: the file cannot be written, or there are more than 15 pitched voices.
    """
    data = to_bytes(score)
    with atomic_write(path) as file:
        file.write(data)


def to_bytes(score: Score) -> bytes:
    """A Standard MIDI File of type 1: a track of metres, tempos, keys and markers, then for each voice a track with its
    own channel. Of a score that has a `file` this is the file.

    The same score gives the same bytes.

    Raises:
        CarouselError: there are more than 15 pitched voices.
    """
    import mido
    import pretty_midi

    if score.origin and score.file:
        return score.file
    scale = max(1, -(-RESOLUTION // score.ticks_per_quarter)) if score.ticks_per_quarter < RESOLUTION else 1
    file = mido.MidiFile(type=1, ticks_per_beat=score.ticks_per_quarter * scale, charset="utf-8")
    conductor: list[tuple[int, Any]] = [(0, mido.MetaMessage("track_name", name=score.title))] if score.title else []
    if score.origin:
        conductor.append((0, mido.MetaMessage("text", text=f"{NAME} {score.origin}")))
    for metre in score.time_signatures:
        message = mido.MetaMessage("time_signature", numerator=metre.numerator, denominator=metre.denominator)
        conductor.append((metre.start_ticks, message))
    for tempo in score.tempos:
        microseconds = min(2**24 - 1, max(1, round(60e6 / tempo.quarters_per_minute)))
        conductor.append((tempo.start_ticks, mido.MetaMessage("set_tempo", tempo=microseconds)))
    for key in score.keys:
        conductor.append((key.start_ticks, mido.MetaMessage("key_signature", key=key.name)))
    for marker in score.markers:
        conductor.append((marker.start_ticks, mido.MetaMessage("marker", text=marker.text)))
    if score.length_ticks:
        conductor.append((score.length_ticks, mido.MetaMessage("end_of_track")))
    file.tracks.append(track_of(conductor, scale))
    for index, (voice, channel) in enumerate(zip(score.voices, channels(score.voices), strict=True)):
        instrument = "Drums" if voice.drum else pretty_midi.program_to_instrument_name(voice.program)
        messages: list[tuple[int, Any]] = [
            (0, mido.MetaMessage("track_name", name=voice.name)),
            (0, mido.MetaMessage("instrument_name", name=instrument)),
            (0, mido.Message("program_change", program=voice.program, channel=channel)),
        ]
        file.tracks.append(track_of(messages + _played(score, index, channel), scale))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def channels(voices: Iterable[Voice]) -> list[int]:
    """The channels of voices, counted from 0: 9 for drums, and the other ones in order for the other voices.

    Raises:
        CarouselError: there are more than 15 pitched voices.
    """
    free = iter(PITCHED_CHANNELS)
    try:
        return [DRUM_CHANNEL if voice.drum else next(free) for voice in voices]
    except StopIteration:
        raise CarouselError(
            f"more than {len(PITCHED_CHANNELS)} pitched voices; MIDI has no channels for more"
        ) from None


def _played(score: Score, voice: int, channel: int) -> list[tuple[int, Any]]:
    """The messages of a voice with their ticks, in order. At each tick note-offs come first, then the pedal, then
    note-ons."""
    import mido

    ranked: list[tuple[int, int, int, Any]] = []
    for note in without_overlaps(note for note in score.notes if note.voice == voice):
        on = mido.Message("note_on", note=note.pitch, velocity=note.velocity, channel=channel)
        off = mido.Message("note_off", note=note.pitch, velocity=0, channel=channel)
        ranked += [(note.start_ticks, 2, note.pitch, on), (note.end_ticks, 0, note.pitch, off)]
    for order, pedal in enumerate(pedal for pedal in score.pedals if pedal.voice == voice):
        value = 127 if pedal.down else 0
        message = mido.Message("control_change", control=SUSTAIN, value=value, channel=channel)
        ranked.append((pedal.start_ticks, 1, order, message))
    ranked.sort(key=lambda item: item[:3])
    return [(ticks, message) for ticks, _, _, message in ranked]


def track_of(messages: list[tuple[int, Any]], scale: int = 1) -> Any:
    """mido's track of messages, which are given with absolute ticks; `scale` multiplies the ticks."""
    import mido

    track = mido.MidiTrack()
    before = 0
    for ticks, message in sorted(messages, key=lambda item: item[0]):
        track.append(message.copy(time=(ticks - before) * scale))
        before = ticks
    return track
