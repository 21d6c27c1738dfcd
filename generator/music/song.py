"""A song that goes on in its own tracks: a MIDI file with all that is in it, and where new notes are written into it.

The file is edited message by message with mido, so nothing of it is lost: names, channels, controllers, drums, lyrics.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from math import lcm
from statistics import median_low
from typing import Any

from generator.foundation.errors import CarouselError
from generator.music import midi, repair
from generator.music.midi_scan import is_plain
from generator.music.origin import NAME
from generator.music.score import DEFAULT_VELOCITY, Score, Voice

MAX_BYTES = 2**20
"""Larger files cannot go on in their own tracks."""
MOST_TICKS = 2**15 - 1
"""The most ticks a quarter that a MIDI file may have."""
SUNG = -1
"""In the place of a track: the song itself has the notes of this voice."""
CONTINUATION = "Continuation"
"""The marker where new notes begin."""
SUSTAIN, VOLUME, EXPRESSION = 64, 7, 11
BENDS = ("pitchwheel", "aftertouch", "polytouch")
DAMAGED = "the song in its provenance is damaged; without it the tracks cannot be written again"


@dataclass(frozen=True, slots=True)
class Song:
    """A MIDI file, and for each voice of a vocabulary the track and the channel that its new notes go to, and how loud
    they are there if the vocabulary has no velocities."""

    midi: bytes = field(repr=False)
    tracks: tuple[tuple[int, int, int], ...]


def song_of(
    data: bytes,
    score: Score,
    plays: Sequence[int | None],
    voices: Sequence[Voice],
    ticks_per_quarter: int,
    kept: Collection[int] | None = None,
) -> Song:
    """The song in a MIDI file, with a new track for each voice of the vocabulary that none of its tracks can go on for.

    Args:
        data: the file.
        score: what `midi.read` gives for it.
        plays: for each voice of the score the voice of the vocabulary that goes on for it, or None.
        voices: those of the vocabulary.
        ticks_per_quarter: those of the vocabulary; the song's become a multiple where a MIDI file can have that.
        kept: the voices of the score that stay while new notes replace the others; None if new notes follow the song.

    Raises:
        CarouselError: the file is too large, or there are no channels left for new tracks.
    """
    if len(data) > MAX_BYTES:
        raise CarouselError(f"{len(data) >> 10:,} KB are too much for a song; the limit is {MAX_BYTES >> 10:,} KB")
    file = _open(data) or _opened(midi.to_bytes(replace(score, origin="")))
    at = _places(file, score)
    scale = lcm(file.ticks_per_beat, ticks_per_quarter) // file.ticks_per_beat
    if file.ticks_per_beat * scale > MOST_TICKS:
        scale = 1
    file.ticks_per_beat *= scale
    replaced = [] if kept is None else [index for index in range(len(at)) if plays[index] is not None]
    replaced = [index for index in replaced if kept is not None and index not in kept]
    silenced = {at[index] for index in replaced} - {at[index] for index in kept or ()}
    for number, track in enumerate(file.tracks):
        _rewrite(track, number, scale, silenced)
    velocities: dict[int, list[int]] = defaultdict(list)
    for note in score.notes:
        velocities[note.voice].append(note.velocity)
    pitched = [note.velocity for note in score.notes if not score.voices[note.voice].drum]
    tracks: list[tuple[int, int, int]] = []
    for part, voice in enumerate(voices):
        own = [index for index, player in enumerate(plays) if player == part and velocities[index]]
        if any(index in own for index in kept or ()):
            tracks.append((SUNG, 0, DEFAULT_VELOCITY))
        elif own:
            tracks.append((*at[own[0]], median_low(velocities[own[0]])))
        else:
            tracks.append((*_new_track(file, voice), median_low(pitched or [DEFAULT_VELOCITY])))
    return Song(_saved(file), tuple(tracks))


def _open(data: bytes) -> Any:
    """mido's file of these bytes; None if mido cannot read what symusic reads."""
    with suppress(ValueError):
        data = data if is_plain(data) else repair.repaired(data)[0]
    try:
        return _opened(data)
    except CarouselError:
        return None


def _opened(data: bytes) -> Any:
    import mido

    try:  # Latin-1 keeps the bytes of names as they are
        return mido.MidiFile(file=io.BytesIO(data), charset="latin-1", clip=True)
    except Exception as error:  # what mido raises for a damaged file is of many kinds
        raise CarouselError(DAMAGED) from error


def _saved(file: Any) -> bytes:
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _rewrite(track: Any, number: int, scale: int, silenced: Collection[tuple[int, int]]) -> None:
    """Multiply a track's times, and take out an older provenance and what `silenced` channels play."""
    waited, kept = 0, []
    for message in track:
        waited += message.time
        channel = getattr(message, "channel", SUNG)
        if (number, channel) in silenced:
            pedal = message.type == "control_change" and message.control == SUSTAIN
            gone = pedal or message.type in ("note_on", "note_off", *BENDS)
        else:
            gone = message.type == "text" and message.text.startswith(f"{NAME} {{")
        if not gone:
            kept.append(message.copy(time=waited * scale))
            waited = 0
    track[:] = kept


def _places(file: Any, score: Score) -> list[tuple[int, int]]:
    """The track and channel of each voice of the score: where most of its notes begin in the file."""
    begun: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for number, track in enumerate(file.tracks):
        now = 0
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                begun[now, message.note].append((number, message.channel))
    found: list[Counter[tuple[int, int]]] = [Counter() for _ in score.voices]
    for note in score.notes:
        start = note.start_ticks * file.ticks_per_beat // score.ticks_per_quarter
        found[note.voice].update(
            place
            for place in begun[start, note.pitch]
            if (place[1] == midi.DRUM_CHANNEL) == score.voices[note.voice].drum
        )
    return [max(counts, key=lambda place: (counts[place], place), default=(0, 0)) for counts in found]


def _new_track(file: Any, voice: Voice) -> tuple[int, int]:
    """Add a track on a free channel; returns its place."""
    import mido

    used = {message.channel for track in file.tracks for message in track if hasattr(message, "channel")}
    free = [midi.DRUM_CHANNEL] if voice.drum else [at for at in midi.PITCHED_CHANNELS if at not in used]
    if not free:
        raise CarouselError(f"the song uses all channels, and none is left for {voice.name}; take a track out of it")
    name = voice.name.encode().decode("latin-1")
    program = mido.Message("program_change", program=0 if voice.drum else voice.program, channel=free[0])
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), program]))
    file.type = 1
    return len(file.tracks) - 1, free[0]


def with_new_notes(song: Song, new: Score, origin: str, follows: bool) -> bytes:
    """The song's file with new notes in its tracks, and the text that says how it was made.

    A new note waits until its pitch is silent on its channel. If all new notes are equally loud, as with a vocabulary
    without velocities, each track goes on as loud as the median of its notes.

    Args:
        new: new notes, whose voices are those of the vocabulary, with tempos, metres and markers; ticks count from the
            start of the song.
        follows: whether the notes follow the song, so that a marker stands there, and pedals, bends and fades end.

    Raises:
        CarouselError: the song is damaged, or was made for another vocabulary.
    """
    import mido

    file = _opened(song.midi)
    if len(song.tracks) != len(new.voices) or any(track >= len(file.tracks) for track, *_ in song.tracks):
        raise CarouselError(DAMAGED)
    if not file.tracks or file.ticks_per_beat <= 0:
        raise CarouselError(DAMAGED)
    tracks = [_with_ticks(track) for track in file.tracks]
    ends = _ends(tracks)

    def at(ticks: int) -> int:
        return round(ticks * int(file.ticks_per_beat) / new.ticks_per_quarter)

    level = len({note.velocity for note in new.notes}) == 1
    played: dict[int, list[tuple[int, int, int, Any]]] = defaultdict(list)
    for note in sorted(new.notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch)):
        track, channel, usual = song.tracks[note.voice]
        start, end = max(at(note.start_ticks), ends.get((channel, note.pitch), 0)), at(note.end_ticks)
        if track == SUNG or start >= end:
            continue
        ends[channel, note.pitch] = end
        for tick, kind, loud in ((start, "note_on", usual if level else note.velocity), (end, "note_off", 0)):
            message = mido.Message(kind, channel=channel, note=note.pitch, velocity=loud)
            played[track].append((tick, kind == "note_on", note.pitch, message))
    conductor = [(at(one.start_ticks), mido.MetaMessage("marker", text=one.text)) for one in new.markers]
    for tempo in new.tempos:
        microseconds = min(2**24 - 1, max(1, round(60e6 / tempo.quarters_per_minute)))
        conductor.append((at(tempo.start_ticks), mido.MetaMessage("set_tempo", tempo=microseconds)))
    for metre in new.time_signatures:
        signature = mido.MetaMessage("time_signature", numerator=metre.numerator, denominator=metre.denominator)
        conductor.append((at(metre.start_ticks), signature))
    if follows and played:
        join = min(tick for messages in played.values() for tick, *_ in messages)
        conductor.append((join, mido.MetaMessage("marker", text=CONTINUATION)))
        for track, channel in sorted({place[:2] for place in song.tracks if place[0] in played}):
            tracks[track] += [(join, message) for message in _restored(tracks, channel)]
    for track, messages in played.items():
        tracks[track] += [(tick, message) for tick, _, _, message in sorted(messages, key=lambda one: one[:3])]
    tracks[0] = [(0, mido.MetaMessage("text", text=f"{NAME} {origin}")), *tracks[0], *conductor]
    if new.length_ticks:
        last = max([tick for messages in tracks for tick, _ in messages])
        tracks[0].append((max(last, at(new.length_ticks)), mido.MetaMessage("end_of_track")))
    file.tracks = [midi.track_of(messages) for messages in tracks]
    return _saved(file)


def _with_ticks(track: Iterable[Any]) -> list[tuple[int, Any]]:
    """A track's messages with their ticks from the start, without its end."""
    now, messages = 0, []
    for message in track:
        now += message.time
        if message.type != "end_of_track":
            messages.append((now, message))
    return messages


def _ends(tracks: Sequence[list[tuple[int, Any]]]) -> dict[tuple[int, int], int]:
    """When each pitch of a channel sounds last."""
    ends: dict[tuple[int, int], int] = {}
    for tick, message in chain.from_iterable(tracks):
        if message.type == "note_off" or (message.type == "note_on" and not message.velocity):
            ends[message.channel, message.note] = max(tick, ends.get((message.channel, message.note), 0))
    return ends


def _restored(tracks: Sequence[list[tuple[int, Any]]], channel: int) -> list[Any]:
    """What a channel needs to be heard after the end of a song: the pedal up, no bend, and after a fade the volume and
    the expression that held longest."""
    import mido

    events = sorted(((tick, message) for messages in tracks for tick, message in messages), key=lambda event: event[0])
    last = events[-1][0] if events else 0
    changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    bend = 0
    for tick, message in events:
        if getattr(message, "channel", SUNG) != channel:
            continue
        if message.type == "pitchwheel":
            bend = message.pitch
        elif message.type == "control_change" and message.control in (SUSTAIN, VOLUME, EXPRESSION):
            changes[message.control].append((tick, message.value))
    messages = [mido.Message("pitchwheel", channel=channel, pitch=0)] if bend else []
    for control, values in sorted(changes.items()):
        held: Counter[int] = Counter()
        for (tick, value), (until, _) in zip(values, [*values[1:], (last, 0)], strict=True):
            held[value] += until - tick
        usual = 0 if control == SUSTAIN else max(held, key=lambda value: (held[value], value))
        if values[-1][1] != usual and (control == SUSTAIN or values[-1][1] < usual):
            messages.append(mido.Message("control_change", channel=channel, control=control, value=usual))
    return messages
