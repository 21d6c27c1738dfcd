"""Assigns the voices of a score to the parts of a vocabulary: by name, else by program, else by register."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.music.notes import present
from generator.music.score import Score, Voice
from generator.music.voices import distinct
from generator.tokenizers.score_vocabulary import Part


def assigned(parts: Sequence[Part], score: Score) -> list[int | None]:
    """The index of a part for each voice of the score, or None if no part can play the voice.

    1. By name: the n-th voice of a name gets the n-th part of that name.
    2. By program, if the parts have different programs: a voice gets a free part with its program, else one with its
       program that is not monophonic. Drums count as one program, and drum voices get drum parts only.
    3. By register: from the highest down, the remaining voices get the remaining parts in their order. When no part is
       left, a voice gets the part whose range has the nearest middle.
    """
    named = {(name.lower(), part.drum): at for at, (name, part) in enumerate(zip(_names(parts), parts, strict=True))}
    found = [
        named.get((name.lower(), voice.drum)) for name, voice in zip(_names(score.voices), score.voices, strict=True)
    ]
    free = [at for at in range(len(parts)) if at not in found]
    melodic = [at for at, part in enumerate(parts) if not part.drum]
    programs_differ = len({parts[at].program for at in melodic}) > 1
    mean_pitches = _mean_pitches(score)
    rest = [index for index, at in enumerate(found) if at is None]
    for index in sorted(rest, key=lambda index: index not in mean_pitches):  # voices without notes come last
        voice = score.voices[index]
        alike = (
            [at for at, part in enumerate(parts) if _same_program(part, voice)] if voice.drum or programs_differ else []
        )
        own = [at for at in alike if at in free] or [at for at in alike if not parts[at].monophonic]
        if own:
            found[index] = own[0]
            free = [at for at in free if at != own[0]]
    free = [at for at in free if at in melodic]
    rest = [index for index in rest if found[index] is None and not score.voices[index].drum]
    middles = np.array([(parts[at].low + parts[at].high) / 2 for at in melodic])
    for index in sorted(rest, key=lambda index: -mean_pitches.get(index, 0.0)):
        if free:
            found[index] = free.pop(0)
        elif melodic:
            found[index] = melodic[int(np.abs(middles - mean_pitches.get(index, 0.0)).argmin())]
    return found


def _names(players: Sequence[Part] | Sequence[Voice]) -> list[str]:
    """Their names, made distinct by numbers."""
    return distinct([player.name for player in players])


def _same_program(part: Part, voice: Voice) -> bool:
    return part.drum == voice.drum and (part.drum or part.program == voice.program)


def _mean_pitches(score: Score) -> dict[int, float]:
    """The mean pitch of each voice that has notes."""
    _, _, pitches, _, voices = score.columns
    return {voice: float(pitches[voices == voice].mean()) for voice in present(voices)}
