"""Splicing a phrase that somebody else plays or types into a stream, as tokens that the grammar allows there.

The tokenizer encodes a phrase as a piece of its own; this module fits it to a stream. Every token is checked against
the grammar, here and again when a take is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError
from generator.music.keys import above_c
from generator.music.score import Note, Score, Tempo, TimeSignature
from generator.music.voices import distinct
from generator.tokenizers import performance_grammar as played
from generator.tokenizers import score_grammar as written
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Decoder, Tokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_grid import to_grid
from generator.tokenizers.score_vocabulary import Part

LONGEST_PHRASE = 1000
"""The longest phrase, in quarters of written music or in seconds of a performance."""
OCTAVE = 12
OPEN = (played.END, played.STYLE, played.KEY, played.TIME_SHIFT)
"""Kinds of tokens after which a silent performance may go on with any note or the pedal."""


def checked(tokenizer: Tokenizer, piece: Any, voice: str | None) -> str | Score:
    """Check a phrase, and return it as a piece with the tokenizer's voices.

    Raises:
        CarouselError: a stream of this tokenizer cannot take it.
    """
    if tokenizer.kind == "frames":
        raise CarouselError("this checkpoint speaks frames, and cannot listen; use one of kind score or performance")
    if tokenizer.medium == "music" and not isinstance(piece, str | Score):
        piece = tokenizer.collect(list(piece))
    if not isinstance(piece, str if tokenizer.medium == "text" else Score):
        raise CarouselError(f"this checkpoint speaks {tokenizer.medium}; give it {tokenizer.medium}")
    if isinstance(piece, Score):
        sounding = [note for note in piece.notes if not piece.voices[note.voice].drum]
        if not (sounding if isinstance(tokenizer, PerformanceTokenizer) else piece.notes):
            raise CarouselError("the phrase has no notes; play some")
        extent = piece.clock().seconds if isinstance(tokenizer, PerformanceTokenizer) else _quarters(piece)
        starts = [note.start_ticks for note in piece.notes] + [pedal.start_ticks for pedal in piece.pedals]
        if min(starts) < 0 or extent(max(piece.end_ticks, *starts)) > LONGEST_PHRASE:
            raise CarouselError(f"a phrase has {LONGEST_PHRASE} quarters or seconds at most; play it in parts")
    if isinstance(tokenizer, ScoreTokenizer) and isinstance(piece, Score):
        piece = _voiced(piece, tokenizer.table.parts, voice)
    if isinstance(piece, str):
        tokens, known = tokenizer.encode(piece)[:-1], tokenizer.decoder().allowed()
        unknown = {character for character, token in zip(piece, tokens.tolist(), strict=True) if not known[token]}
        if unknown:
            raise CarouselError(f"unknown to this checkpoint: {' '.join(map(repr, sorted(unknown)))}; leave it out")
    return replace(piece, style="") if isinstance(piece, Score) else piece  # a phrase does not tell it


def _quarters(piece: Score) -> Any:
    return lambda ticks: ticks / piece.ticks_per_quarter


def is_half_said(tokenizer: Tokenizer, decoder: Decoder) -> bool:
    """Whether the stream is in the middle of a note or command, so that no phrase can begin."""
    memory = decoder.memory
    if isinstance(tokenizer, PerformanceTokenizer):
        last, _ = tokenizer.table.entries[memory[played.LAST]]
        return last == played.VELOCITY or (last == played.PEDAL and int(memory[played.IN_VELOCITY]) < 0)
    half = (kinds.POSITION, kinds.VOICE, kinds.PITCH)
    return isinstance(tokenizer, ScoreTokenizer) and int(memory[written.LAST]) in half


def check(tokenizer: Tokenizer, decoder: Decoder, tokens: Sequence[int]) -> None:
    """Check that these tokens may follow; the decoder does not change.

    Raises:
        CarouselError: one of them may not.
    """
    _feed(tokenizer.decoder(decoder.state()), tokens)


def _feed(decoder: Decoder, tokens: Sequence[int]) -> None:
    for token in tokens:
        if not decoder.allowed()[token]:
            raise CarouselError("what the stream is given cannot follow here; this take was damaged or edited")
        decoder.feed(token)


def spelled(tokenizer: Tokenizer, decoder: Decoder, piece: str | Score) -> list[int]:
    """Encode a `checked` phrase as tokens that may follow, and feed them to the decoder."""
    if isinstance(tokenizer, PerformanceTokenizer) and isinstance(piece, Score):
        tokens = _silence(tokenizer, decoder)
        key, in_force = int(decoder.memory[played.IN_KEY]), int(decoder.memory[played.IN_VELOCITY])
        follows = (tokenizer.encode(piece) if key < 0 else tokenizer.encode(piece, key)[1:])[:-1].tolist()
        velocity = next(at for at, token in enumerate(follows) if token in tokenizer.table.spans[played.VELOCITY])
        if follows[velocity] == in_force:
            del follows[velocity]
    elif isinstance(tokenizer, ScoreTokenizer) and isinstance(piece, Score):
        tokens = _bar_line(tokenizer, decoder)
        follows = _on_grid(tokenizer, decoder, piece)
    else:
        tokens, follows = [], tokenizer.encode(piece)[:-1].tolist()
    _feed(decoder, follows)
    return [*tokens, *follows]


def _silence(tokenizer: PerformanceTokenizer, decoder: Decoder) -> list[int]:
    """End all sounding notes, release the pedal, and let a tick pass, so that anything may follow."""
    table, memory, tokens = tokenizer.table, decoder.memory, list[int]()
    offs, up, shift = table.spans[played.NOTE_OFF], table.spans[played.PEDAL].start, table.spans[played.TIME_SHIFT]
    starts = memory[played.STARTS :][: len(offs)]
    while True:
        allowed = decoder.allowed()
        off = np.flatnonzero(allowed[offs.start : offs.stop])
        sounds = (starts != played.SILENT).any() or memory[played.PEDAL_DOWN]
        if len(off):
            token = offs.start + int(off[0])
        elif memory[played.PEDAL_DOWN] and allowed[up]:
            token = up
        elif sounds or table.entries[memory[played.LAST]][0] not in OPEN:
            token = shift.start
        else:
            return tokens
        _feed(decoder, [token])
        tokens.append(token)


def _bar_line(tokenizer: ScoreTokenizer, decoder: Decoder) -> list[int]:
    """Bar lines until no note sounds beyond the current bar."""
    memory, tokens = decoder.memory, list[int]()
    while memory[written.BAR_START] + memory[written.BAR_TICKS] < memory[written.LAST_END]:
        token = tokenizer.table.ids[kinds.BAR, int(memory[written.IN_KEY])]
        _feed(decoder, [token])
        tokens.append(token)
    return tokens


def _on_grid(tokenizer: ScoreTokenizer, decoder: Decoder, piece: Score) -> list[int]:
    """Encode a phrase from a bar line to a bar line, in the current metre, tempo and key."""
    table, memory = tokenizer.table, decoder.memory
    metre, tempo, key = (int(memory[at]) for at in (written.IN_METRE, written.AT_TEMPO, written.IN_KEY))
    grid = to_grid(piece)
    metres = (TimeSignature(0, *table.metres[metre]),) if metre >= 0 else grid.time_signatures[:1]
    tempos = (Tempo(0, float(tempo)),) if tempo >= 0 else grid.tempos[:1]
    bar = (metres[0] if metres else TimeSignature(0, 4, 4)).bar_ticks(grid.ticks_per_quarter)
    silent = min((note.start_ticks for note in grid.notes), default=0) // bar * bar
    notes = tuple(replace(note, start_ticks=note.start_ticks - silent) for note in grid.notes)
    metres = tuple(replace(first, start_ticks=0) for first in metres)
    tempos = tuple(replace(first, start_ticks=0) for first in tempos)
    tokens = tokenizer.encode(replace(grid, notes=notes, time_signatures=metres, tempos=tempos))[:-1].astype(np.int64)
    said = np.array(table.kinds)[tokens]
    bars, pitches = said == kinds.BAR, np.flatnonzero(said == kinds.PITCH)
    own = table.values[tokens[bars][0]]
    if key >= 0:
        drums = np.array([part.drum for part in table.parts])[tokens[pitches - 1] - table.first[kinds.VOICE]]
        tokens[pitches[~drums]] += above_c(own) - above_c(key)
        tokens[bars] = table.ids[kinds.BAR, key]
    kept = ~((said == kinds.TIME_SIGNATURE) & (metre >= 0) | (said == kinds.TEMPO) & (tempo >= 0))
    if memory[written.LAST] == kinds.BAR and memory[written.LAST_END] <= memory[written.NOW]:
        kept[np.argmax(bars)] = False  # a bar that is empty yet is taken
    return [*tokens[kept].tolist(), int(tokens[bars][0])]


def _voiced(piece: Score, parts: Sequence[Part], name: str | None) -> Score:
    """The piece with the vocabulary's voices, each of its own taken by one of them; notes out of a voice's range move
    by octaves, or are left out where none fits."""
    names = [part.name for part in parts]
    if name is not None and name not in names:
        raise CarouselError(f"there is no voice {name!r}; the voices here are {', '.join(names)}")
    notes: list[Note] = []
    taken: set[int] = set()
    own_names = distinct(voice.name for voice in piece.voices)
    for index, voice in enumerate(piece.voices):
        own = [note for note in piece.notes if note.voice == index]
        candidates = [at for at, part in enumerate(parts) if part.drum == voice.drum]
        named = [at for at in candidates if parts[at].name.lower() == (name or own_names[index]).lower()]
        if not own or not candidates:
            continue
        by_fit = sorted(candidates, key=lambda at: (at in taken, -_fit(own, parts[at])))
        chosen = named[0] if named else by_fit[0]
        taken.add(chosen)
        part = parts[chosen]
        for note in own:
            pitch = note.pitch if part.drum else _folded(note.pitch, part)
            if part.low <= pitch <= part.high:
                notes.append(replace(note, pitch=pitch, voice=chosen))
    if not notes:
        raise CarouselError("no note of the phrase is in the range of a voice; play it elsewhere")
    notes.sort(key=lambda note: (note.start_ticks, note.voice, -note.pitch))
    return replace(piece, voices=tuple(part.voice for part in parts), notes=tuple(notes), origin="")


def _fit(notes: Sequence[Note], part: Part) -> int:
    """How many notes a voice can sound: those in its range, of a chord the first alone where it has no chords."""
    inside = {note for note in notes if part.low <= note.pitch <= part.high}
    return len({note.start_ticks for note in inside}) if part.monophonic else len(inside)


def _folded(pitch: int, part: Part) -> int:
    below, above = part.low - pitch, pitch - part.high
    up = (max(0, below) + OCTAVE - 1) // OCTAVE
    down = (max(0, above) + OCTAVE - 1) // OCTAVE
    return pitch + OCTAVE * (up - down)
