"""Which voice of a score plays which part of a vocabulary: by name, else by program, else by register."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.music.score import Score, Voice
from generator.music.voices import distinct
from generator.tokenizers.score_vocabulary import Part


def assigned(parts: Sequence[Part], score: Score) -> list[int | None]:
    """For each voice of the score the index of its part, or None where no part may play it.

    1. By name: the n-th voice of a name plays the n-th part of that name.
    2. By program, where the parts' programs differ: a part of its program that nobody plays yet, else one with chords.
       Drums, which have one program, play no other parts.
    3. By register: from the top, the voices that are left play the parts that are left; when these run out, the part
       that is nearest in register.
    """
    named = {(name.lower(), part.drum): at for at, (name, part) in enumerate(zip(_names(parts), parts, strict=True))}
    found = [
        named.get((name.lower(), voice.drum)) for name, voice in zip(_names(score.voices), score.voices, strict=True)
    ]
    free = [at for at in range(len(parts)) if at not in found]
    melodic = [at for at, part in enumerate(parts) if not part.drum]
    programs_differ = len({parts[at].program for at in melodic}) > 1
    heights = _heights(score)
    rest = [index for index, at in enumerate(found) if at is None]
    for index in sorted(rest, key=lambda index: index not in heights):  # what is silent takes nothing away
        voice = score.voices[index]
        alike = [at for at, part in enumerate(parts) if _plays(part, voice)] if voice.drum or programs_differ else []
        own = [at for at in alike if at in free] or [at for at in alike if not parts[at].monophonic]
        if own:
            found[index] = own[0]
            free = [at for at in free if at != own[0]]
    free = [at for at in free if at in melodic]
    rest = [index for index in rest if found[index] is None and not score.voices[index].drum]
    middles = np.array([(parts[at].low + parts[at].high) / 2 for at in melodic])
    for index in sorted(rest, key=lambda index: -heights.get(index, 0.0)):
        if free:
            found[index] = free.pop(0)
        elif melodic:
            found[index] = melodic[int(np.abs(middles - heights.get(index, 0.0)).argmin())]
    return found


def _names(players: Sequence[Part] | Sequence[Voice]) -> list[str]:
    return distinct([player.name for player in players])


def _plays(part: Part, voice: Voice) -> bool:
    return part.drum == voice.drum and (part.drum or part.program == voice.program)


def _heights(score: Score) -> dict[int, float]:
    """The mean pitch of each voice that sounds."""
    pitches: dict[int, list[int]] = {}
    for note in score.notes:
        pitches.setdefault(note.voice, []).append(note.pitch)
    return {voice: float(np.mean(found)) for voice, found in pitches.items()}
