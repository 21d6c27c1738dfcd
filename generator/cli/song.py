"""A song that a stream goes on with: where its tracks go, what the stream keeps of it, and the file that holds both.

The file begins with the song as it is. What the stream draws after its primer follows in the song's own tracks, or,
with kept tracks, takes the place of the others from the beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Sentence, many
from generator.music import files, midi
from generator.music.score import DEFAULT_TEMPO, Score, Voice
from generator.music.song import Song, song_of
from generator.music.voices import distinct, one_at_a_time
from generator.streaming.engine import Model
from generator.streaming.melody import brought
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.tracks import can_write, counted, players, range_of

OCTAVE = 12
LONGEST_NAME = 40
"""In characters, of a track that is named in a line."""


def main_tempo(score: Score) -> float:
    """The tempo in quarters a minute that holds for most of a score's quarters, within what options allow; of equals
    the first one."""
    changes = [(tempo.start_ticks, tempo.quarters_per_minute) for tempo in score.tempos] or [(0, DEFAULT_TEMPO)]
    held: Counter[float] = Counter()
    for (tick, tempo), (until, _) in zip(changes, [*changes[1:], (score.end_ticks, 0.0)], strict=True):
        held[tempo] += max(0, until - tick)
    return min(1000.0, max(1.0, held.most_common(1)[0][0]))


def track_names(score: Score) -> list[str]:
    """The names of a score's tracks, all different, each with its number."""
    names = distinct(voice.name for voice in score.voices)
    return [f"{number} {name[:LONGEST_NAME]}" for number, name in enumerate(names, start=1)]


def where_tracks_go(score: Score, found: Score, tokenizer: Tokenizer) -> list[Sentence]:
    """A line for each track of a song: the voice that plays it, how many of its notes, and why not the others. Nothing
    if every track goes, whole, to the voice of its name.

    Args:
        found: what the vocabulary makes of the song.
    """
    import pretty_midi  # takes a while

    plays, sizes = players(tokenizer, score), Counter(note.voice for note in score.notes)
    kept = counted(score, found, plays)
    said: list[Sentence] = []
    changed = False
    for index, (name, voice) in enumerate(zip(track_names(score), score.voices, strict=True)):
        part, count = plays[index], sizes[index]
        if not count:
            continue
        kind = "drums" if voice.drum else pretty_midi.program_to_instrument_name(voice.program)
        if part is None:
            why = "no voice here is for drums" if voice.drum else "there are only drums here"
            said.append(Sentence(f"track {name} ({kind}) → left out: {many(count, 'note')}, as {why}", False))
            changed = True
            continue
        pitches = (note.pitch for note in score.notes if note.voice == index)
        beyond = sum(not can_write(tokenizer, part, pitch) for pitch in pitches)
        second = count - kept[index] - beyond
        lost = [f"{beyond:,} out of its range"] * (beyond > 0)
        lost += [f"{second:,} at the place of other notes"] * (second > 0)
        text = f"track {name} ({kind}) → {tokenizer.voices[part].name}: {kept[index]:,} of {many(count, 'note')}"
        said.append(Sentence(f"{text}; left out: {', '.join(lost)}" if lost else text, False))
        changed |= bool(lost) or voice.name.lower() != tokenizer.voices[part].name.lower()
    return said if changed else []


def metre_and_tempo(score: Score, found: Score) -> list[Sentence]:
    """Lines about a metre that the vocabulary has another one for."""
    asked = {(one.numerator, one.denominator) for one in score.time_signatures} or {(4, 4)}
    heard = {(one.numerator, one.denominator) for one in found.time_signatures}
    if not found.time_signatures or heard <= asked:
        return []
    names = [
        ", ".join(f"{above}/{below}" for above, below in sorted(metres)) for metres in (asked - heard, heard - asked)
    ]
    return [Sentence(f"the metre {names[0]} is read as {names[1]}: the nearest that this checkpoint knows", True)]


@dataclass(frozen=True)
class Beginning:
    """How a stream begins with a song: the primer, or None, the options that hold unless others are given, and the
    song, where the file can hold it."""

    primer: Score | None
    options: dict[str, Any]
    song: Song | None
    said: list[str]


def data_of(path: Path, score: Score) -> bytes:
    """The bytes of a song as a MIDI file."""
    return path.read_bytes() if path.suffix.lower() in files.MIDI else midi.to_bytes(score)


def continued(path: Path, score: Score, tokenizer: Tokenizer, asked: float | None) -> Beginning:
    """How a stream goes on after a song: in its tempo and its metre, and without an end of the piece.

    Args:
        asked: another tempo, in quarters a minute.
    """
    found, _ = tokenizer.quantise(score)
    tempo = main_tempo(score)
    options: dict[str, Any] = {"tempo": tempo, "at_end": "never"}
    if found.time_signatures:
        last = found.time_signatures[-1]
        options["metre"] = f"{last.numerator}/{last.denominator}"
    plays = players(tokenizer, score)
    try:
        song = song_of(data_of(path, score), score, plays, tokenizer.voices, tokenizer.ticks_per_quarter)
    except CarouselError as error:
        return Beginning(score, options, None, [f"a file cannot go on in the song's own tracks: {error}"])
    new = [voice.name for part, voice in enumerate(tokenizer.voices) if part not in plays]
    tracks = f", with new tracks for {', '.join(new)}" if new else ""
    said = f"-o FILE.mid begins with the whole song and goes on at {asked or tempo:.4g} quarters a minute{tracks}"
    return Beginning(score, options, song, [f"{said}; the model hears of it:"])


def chosen(score: Score, names: Sequence[str]) -> list[int]:
    """The tracks that `--keep` names, by name or number, in the order of the song.

    Raises:
        CarouselError: there is no such track.
    """
    known = [name.lower() for name in distinct(voice.name for voice in score.voices)]
    found: set[int] = set()
    for text in names:
        for name in [text] if text.strip().lower() in known else text.split(","):
            name = name.strip().lower()
            if name in known:
                found.add(known.index(name))
            elif name.isascii() and name.isdigit() and 1 <= int(name[:9]) <= len(known):
                found.add(int(name) - 1)
            else:
                raise CarouselError(f"--keep: no track {name[:40]!r}; the song has {', '.join(track_names(score))}")
    return sorted(found)


def accompanied(path: Path, score: Score, names: Sequence[str], model: Model, voice: str | None) -> Beginning:
    """How a stream writes the other tracks of a song around one pitched track that stays, which it follows as a melody.
    Of chords it follows the highest notes, an octave or more away if they are out of the voice's range.

    Args:
        names: the tracks that stay; those that the vocabulary cannot play stay in any case.
        voice: the voice of the vocabulary that has the track; by default the one that would play it.

    Raises:
        CarouselError: these tracks cannot be kept.
    """
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, ScoreTokenizer):
        raise CarouselError(f"--keep is not for a checkpoint of kind {tokenizer.kind}; take one of kind score")
    stay, labels, plays = chosen(score, names), track_names(score), players(tokenizer, score)
    pitched = [index for index in stay if not score.voices[index].drum]
    if len(pitched) != 1:
        having = f"{' and '.join(labels[index] for index in pitched)} are {len(pitched)}" if pitched else "here is none"
        raise CarouselError(f"--keep takes one pitched track, which the other voices follow, and {having}; name one")
    (own,) = pitched
    part = plays[own]
    voices = [one.name for one in tokenizer.voices]
    if voice is not None:
        part = next((at for at, name in enumerate(voices) if name.lower() == voice.lower()), None)
        if part is None:
            raise CarouselError(f"--voice: no voice {voice!r}; choose one of {', '.join(voices)}")
    if part is None:
        raise CarouselError(f"--keep: no voice plays {labels[own]}; choose one with --voice: {', '.join(voices)}")
    plays = [plays[own] if player == part else player for player in plays]  # who had this voice gets the other one
    plays[own] = part
    line = one_at_a_time([note for note in score.notes if note.voice == own], "highest")
    low, high = range_of(tokenizer, part)

    def beyond(octaves: int) -> int:
        return sum(not low <= note.pitch + OCTAVE * octaves <= high for note in line)

    octaves = min(range(-8, 9), key=lambda octaves: (beyond(octaves), abs(octaves)))
    heard = [replace(note, pitch=note.pitch + OCTAVE * octaves, voice=0) for note in line]
    heard = [note for note in heard if low <= note.pitch <= high]
    alone = replace(
        score, voices=(Voice(tokenizer.voices[part].name),), notes=tuple(heard), pedals=(), length_ticks=0, origin=""
    )
    grid, _ = tokenizer.quantise(alone)
    melody = model.melody(grid, tokenizer.voices[part].name)
    options = brought(grid, melody) | {"tempo": main_tempo(score)}
    stay = [index for index in range(len(plays)) if index in stay or plays[index] is None]
    song = song_of(data_of(path, score), score, plays, tokenizer.voices, tokenizer.ticks_per_quarter, stay)
    size = sum(note.voice == own for note in score.notes)
    moved = f", {many(abs(octaves), 'octave')} {'higher' if octaves > 0 else 'lower'}" if octaves else ""
    said = [
        f"kept: {labels[own]}, which the model hears as {tokenizer.voices[part].name}{moved}: "
        f"{melody.rpartition(';')[2].count(':') // 2:,} of {many(size, 'note')}"
    ]
    said += [f"kept: {labels[index]}, which the model does not hear" for index in stay if index != own]
    sounding = {note.voice for note in score.notes}
    for index in sorted(sounding - set(stay)):
        first = min(other for other in sounding if plays[other] == plays[index])
        player = tokenizer.voices[plays[index] or 0].name
        writes = plays[index] != part and first == index
        said.append(
            f"written anew: {labels[index]}, by {player}" if writes else f"silent: {labels[index]}; no voice is left"
        )
    new = [voice.name for at, voice in enumerate(tokenizer.voices) if at not in plays]
    said += [f"in new tracks: {', '.join(new)}"] if new else []
    return Beginning(None, options, song, said)
