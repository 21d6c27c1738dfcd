"""Splices a phrase, which somebody else plays or types, into a stream as tokens that the grammar allows there.

The tokenizer can only encode a phrase as a separate piece; this module fits these tokens to the stream. Every token is
checked against the grammar, here and again when a take is replayed.
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
from generator.tokenizers import performance_grammar as performance
from generator.tokenizers import score_memory as score
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import SILENT, Decoder, Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_grid import to_grid
from generator.tokenizers.score_loudness import refitted
from generator.tokenizers.score_vocabulary import Part

LONGEST_PHRASE = 1000
"""The longest phrase, in seconds for a performance tokenizer and in quarters for a score tokenizer."""
OCTAVE = 12
READY_AFTER = (performance.END, performance.STYLE, performance.KEY, performance.TIME_SHIFT)
"""If no note sounds, any note or pedal change may follow tokens of these kinds."""


def checked_phrase(tokenizer: Tokenizer, piece: Any, voice: str | None) -> str | Score:
    """Check a phrase, and convert it to a piece with the tokenizer's voices.

    Args:
        voice: the name of the voice that plays it, in a score; None to choose one for each voice of the phrase.

    Raises:
        CarouselError: the phrase cannot be spliced into a stream of this tokenizer.
    """
    if not isinstance(tokenizer, CharTokenizer | PerformanceTokenizer | ScoreTokenizer):
        raise CarouselError(
            f"no phrase can be spliced into {tokenizer.kind}; use a checkpoint of kind score or performance"
        )
    if tokenizer.medium == "music" and not isinstance(piece, str | Score):
        piece = tokenizer.collect(list(piece))
    if not isinstance(piece, str if tokenizer.medium == "text" else Score):
        raise CarouselError(f"this checkpoint generates {tokenizer.medium}; give it {tokenizer.medium}")
    if isinstance(piece, Score):
        pitched = [note for note in piece.notes if not piece.voices[note.voice].drum]
        if not (pitched if isinstance(tokenizer, PerformanceTokenizer) else piece.notes):
            raise CarouselError("the phrase has no notes; play some")
        starts = [note.start_ticks for note in piece.notes] + [pedal.start_ticks for pedal in piece.pedals]
        end = max(piece.end_ticks, *starts)
        in_seconds = isinstance(tokenizer, PerformanceTokenizer)
        length = piece.clock().seconds(end) if in_seconds else end / piece.ticks_per_quarter
        if min(starts) < 0 or length > LONGEST_PHRASE:
            raise CarouselError(f"a phrase has {LONGEST_PHRASE} quarters or seconds at most; play it in parts")
    if isinstance(tokenizer, ScoreTokenizer) and isinstance(piece, Score):
        piece = _with_parts(piece, tokenizer.table.parts, voice)
    if isinstance(tokenizer, CharTokenizer) and isinstance(piece, str):
        tokens, known = tokenizer.encode(piece)[:-1], tokenizer.decoder().allowed()
        unknown = {character for character, token in zip(piece, tokens.tolist(), strict=True) if not known[token]}
        if unknown:
            raise CarouselError(f"unknown to this checkpoint: {' '.join(map(repr, sorted(unknown)))}; leave it out")
    return replace(piece, style="") if isinstance(piece, Score) else piece  # a style only opens a piece


def is_mid_note(tokenizer: Tokenizer, decoder: Decoder) -> bool:
    """Whether the last tokens of the stream are an incomplete note or command, so that no phrase can begin."""
    memory = decoder.memory
    if isinstance(tokenizer, PerformanceTokenizer):
        last, _ = tokenizer.table.entries[memory[performance.LAST]]
        no_notes = int(memory[performance.VELOCITY_TOKEN]) < 0
        return last == performance.VELOCITY or (last == performance.PEDAL and no_notes)
    incomplete = (kinds.POSITION, kinds.VOICE, kinds.LOUDNESS, kinds.PITCH)
    return isinstance(tokenizer, ScoreTokenizer) and int(memory[score.LAST]) in incomplete


def check(tokenizer: Tokenizer, decoder: Decoder, tokens: Sequence[int]) -> None:
    """Check that the grammar allows these tokens next; the decoder does not change.

    Raises:
        CarouselError: a token is not allowed.
    """
    _feed_checked(tokenizer.decoder(decoder.state()), tokens)


def _feed_checked(decoder: Decoder, tokens: Sequence[int]) -> None:
    """Feed tokens to the decoder, and raise a CarouselError at one that is not allowed."""
    for token in tokens:
        if not decoder.allowed()[token]:
            raise CarouselError("the grammar does not allow the phrase here; this take was damaged or edited")
        decoder.feed(token)


def encode_phrase(tokenizer: Tokenizer, decoder: Decoder, piece: str | Score) -> list[int]:
    """Encode a phrase from `checked_phrase` as tokens that the grammar allows next, and feed them to the decoder."""
    if isinstance(tokenizer, PerformanceTokenizer) and isinstance(piece, Score):
        tokens = _silencing_tokens(tokenizer, decoder)
        key, in_force = int(decoder.memory[performance.KEY_INDEX]), int(decoder.memory[performance.VELOCITY_TOKEN])
        phrase_tokens = (tokenizer.encode(piece) if key < 0 else tokenizer.encode(piece, key)[1:])[:-1].tolist()
        velocity = next(
            at for at, token in enumerate(phrase_tokens) if token in tokenizer.table.spans[performance.VELOCITY]
        )
        if phrase_tokens[velocity] == in_force:
            del phrase_tokens[velocity]
    elif isinstance(tokenizer, ScoreTokenizer) and isinstance(piece, Score):
        tokens = _bar_lines(tokenizer, decoder)
        phrase_tokens = _encode_on_grid(tokenizer, decoder, piece)
    else:
        tokens, phrase_tokens = [], tokenizer.encode(piece)[:-1].tolist()
    _feed_checked(decoder, phrase_tokens)
    return [*tokens, *phrase_tokens]


def _silencing_tokens(tokenizer: PerformanceTokenizer, decoder: Decoder) -> list[int]:
    """Feed and return tokens that end all notes, release the pedal and, where needed, pass a tick, so that any note may
    follow."""
    table, memory, tokens = tokenizer.table, decoder.memory, list[int]()
    kinds_of_tokens = (performance.NOTE_OFF, performance.PEDAL, performance.TIME_SHIFT)
    offs, pedals, shifts = (table.spans[kind] for kind in kinds_of_tokens)
    up, shift = pedals.start, shifts.start
    starts = memory[performance.STARTS :][: len(offs)]
    while True:
        allowed = decoder.allowed()
        off = np.flatnonzero(allowed[offs.start : offs.stop])
        sounds = (starts != SILENT).any() or memory[performance.PEDAL_DOWN]
        if len(off):
            token = offs.start + int(off[0])
        elif memory[performance.PEDAL_DOWN] and allowed[up]:
            token = up
        elif sounds or table.entries[memory[performance.LAST]][0] not in READY_AFTER:
            token = shift
        else:
            return tokens
        _feed_checked(decoder, [token])
        tokens.append(token)


def _bar_lines(tokenizer: ScoreTokenizer, decoder: Decoder) -> list[int]:
    """Feed and return bar lines until no note sounds beyond the current bar."""
    memory, tokens = decoder.memory, list[int]()
    while memory[score.BAR_START] + memory[score.BAR_TICKS] < memory[score.LAST_END]:
        token = tokenizer.table.ids[kinds.BAR, int(memory[score.IN_KEY])]
        _feed_checked(decoder, [token])
        tokens.append(token)
    return tokens


def _encode_on_grid(tokenizer: ScoreTokenizer, decoder: Decoder, piece: Score) -> list[int]:
    """The tokens of a phrase from a bar line to a bar line, in the current metre, tempo and key."""
    table, rules, memory = tokenizer.table, tokenizer.grammar.rules, decoder.memory
    metre, tempo, key = (int(memory[at]) for at in (score.IN_METRE, score.AT_TEMPO, score.IN_KEY))
    grid = to_grid(piece)
    metres = (TimeSignature(0, *table.metres[metre]),) if metre >= 0 else grid.time_signatures[:1]
    tempos = (Tempo(0, float(tempo)),) if tempo >= 0 else grid.tempos[:1]
    bar = (metres[0] if metres else TimeSignature(0, 4, 4)).bar_ticks(grid.ticks_per_quarter)
    silent = min((note.start_ticks for note in grid.notes), default=0) // bar * bar
    notes = tuple(replace(note, start_ticks=note.start_ticks - silent) for note in grid.notes)
    metres = tuple(replace(first, start_ticks=0) for first in metres)
    tempos = tuple(replace(first, start_ticks=0) for first in tempos)
    tokens = tokenizer.encode(replace(grid, notes=notes, time_signatures=metres, tempos=tempos))[:-1].astype(np.int64)
    token_kinds = np.array(table.kinds)[tokens]
    bars, pitches = token_kinds == kinds.BAR, np.flatnonzero(token_kinds == kinds.PITCH)
    phrase_key = table.values[tokens[bars][0]]
    if key >= 0:
        drums = np.array([part.drum for part in table.parts])[table.voices_at(tokens, pitches)]
        tokens[pitches[~drums]] += above_c(phrase_key) - above_c(key)
        tokens[bars] = table.ids[kinds.BAR, key]
    kept = ~((token_kinds == kinds.TIME_SIGNATURE) & (metre >= 0) | (token_kinds == kinds.TEMPO) & (tempo >= 0))
    if memory[score.LAST] == kinds.BAR and memory[score.LAST_END] <= memory[score.NOW]:
        kept[np.argmax(bars)] = False  # the stream is already at the start of a bar
    silent_voices = [-1] * len(table.parts)
    phrase = refitted(table, tokens[kept].tolist(), silent_voices, score.velocities(rules, memory).tolist())
    return [*phrase, int(tokens[bars][0])]


def _with_parts(piece: Score, parts: Sequence[Part], name: str | None) -> Score:
    """The piece played by the vocabulary's voices.

    Each of its voices is played by the voice `name`, or by the one with the same name, or by the one that can play most
    of its notes. Notes out of a voice's range move by octaves, or are left out if no octave is in the range.
    """
    names = [part.name for part in parts]
    if name is not None and name not in names:
        raise CarouselError(f"there is no voice {name!r}; the voices here are {', '.join(names)}")
    notes: list[Note] = []
    taken: set[int] = set()
    piece_names = distinct(voice.name for voice in piece.voices)
    for index, voice in enumerate(piece.voices):
        own = [note for note in piece.notes if note.voice == index]
        candidates = [at for at, part in enumerate(parts) if part.drum == voice.drum]
        named = [at for at in candidates if parts[at].name.lower() == (name or piece_names[index]).lower()]
        if not own or not candidates:
            continue
        by_fit = sorted(candidates, key=lambda at: (at in taken, -_fit(own, parts[at])))
        chosen = named[0] if named else by_fit[0]
        taken.add(chosen)
        part = parts[chosen]
        for note in own:
            pitch = note.pitch if part.drum else _in_range(note.pitch, part)
            if part.low <= pitch <= part.high:
                notes.append(replace(note, pitch=pitch, voice=chosen))
    if not notes:
        raise CarouselError("no note of the phrase is in the range of a voice; play it elsewhere")
    notes.sort(key=lambda note: (note.start_ticks, note.voice, -note.pitch))
    return replace(piece, voices=tuple(part.voice for part in parts), notes=tuple(notes), origin="")


def _fit(notes: Sequence[Note], part: Part) -> int:
    """How many of the notes a voice can play: those in its range, and one of each chord if it is monophonic."""
    inside = {note for note in notes if part.low <= note.pitch <= part.high}
    return len({note.start_ticks for note in inside}) if part.monophonic else len(inside)


def _in_range(pitch: int, part: Part) -> int:
    """The pitch, moved by as few octaves as bring it to or past the near end of the part's range."""
    below, above = part.low - pitch, pitch - part.high
    up = (max(0, below) + OCTAVE - 1) // OCTAVE
    down = (max(0, above) + OCTAVE - 1) // OCTAVE
    return pitch + OCTAVE * (up - down)
