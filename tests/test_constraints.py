"""Constraints: what a listener asked for holds in what comes out, from the token on, under every law of streams."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS, SCALES, read_key
from generator.music.score import Bar, Note, Score, Tempo, TimeSignature, Voice
from generator.streaming.engine import Model, load
from generator.streaming.score_constraints import is_parallel
from generator.tokenizers import score_memory
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import ROOT, SHIPPED, random_checkpoint, tiny
from tests.test_grammar import ensemble

MODELS = ("char", "score", "performance", "ensemble", *(name for name in SHIPPED if name != "pop"))


@cache
def model_of(name: str) -> Model:
    """A fake, the fake that holds chords and drums, or a shipped checkpoint."""
    if name in SHIPPED:
        return load(ROOT / "checkpoints" / name)
    return Model(random_checkpoint(ensemble()) if name == "ensemble" else tiny(name))


def scores(model: Model, streams: int, tokens: int, **options: Any) -> list[Score]:
    """What so many streams play side by side. No constraint yields."""
    engine = model.engine()
    made = [engine.stream(seed=seed, **options) for seed in range(streams)]
    pieces = [model.tokenizer.collect(events) for events in engine.pull(made, tokens)]
    assert [stream.relaxed for stream in made] == [{}] * streams
    return pieces


def outside(score: Score, key: str, scale: str | None = None) -> list[Note]:
    """The notes that do not belong."""
    tonic, steps = read_key(key) % 12, SCALES[scale or key.split()[1]]
    return [n for n in score.notes if not score.voices[n.voice].drum and (n.pitch - tonic) % 12 not in steps]


def most_at_once(score: Score) -> int:
    """Notes that sound together."""
    changes = [(note.start_ticks, 1) for note in score.notes] + [(note.end_ticks, -1) for note in score.notes]
    sounding = most = 0
    for _, change in sorted(changes):
        sounding += change
        most = max(most, sounding)
    return most


def most_in_a_second(score: Score) -> int:
    """Notes that begin within one second."""
    clock = score.clock()
    starts = np.array(sorted(clock.seconds(note.start_ticks) for note in score.notes))
    return int((np.searchsorted(starts, starts + 1 - 1e-4) - np.arange(len(starts))).max(initial=0))


# What each constraint asks for


@pytest.mark.parametrize("name", ["bach", "folk", "performance", "score"])
def test_no_note_lies_outside_the_key(name: str) -> None:
    pieces = scores(model_of(name), 8, 320, key="D minor")
    assert sum(len(piece.notes) for piece in pieces) > 300
    assert [outside(piece, "D minor") for piece in pieces] == [[]] * 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bach", "folk"])
def test_ten_thousand_notes_within_the_key(name: str) -> None:
    pieces = scores(model_of(name), 64, 1000, key="D minor")
    assert sum(len(piece.notes) for piece in pieces) > 10_000
    assert not any(outside(piece, "D minor") for piece in pieces)


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_holds_and_every_bar_says_the_key(scale: str) -> None:
    model = model_of("score")
    stream = model.stream(seed=3, key="Bb minor", scale=scale)
    piece = model.tokenizer.collect(stream.pull(300))
    assert piece.notes and not outside(piece, "Bb minor", scale)
    assert KEYS[stream.snapshot().decoder["memory"]["key"]] == "B♭ minor"


def test_a_performance_opens_in_the_key() -> None:
    model = model_of("performance")
    openings = []
    for seed in range(5):
        stream = model.stream(seed=seed, key="Bb minor", scale="dorian")
        stream.pull(1)
        openings.append(KEYS[stream.snapshot().decoder["key"]])
    assert openings == ["B♭ minor"] * 5


def test_another_key_holds_at_once_by_what_sounds_and_opens_the_next_piece() -> None:
    model = model_of("performance")
    stream = model.stream(seed=1, key="E minor", ranges="55-70")
    before = model.tokenizer.collect(stream.pull(300))
    stream.set(key="F# major")
    now = stream.now_ticks
    inside = model.tokenizer.collect([event for event in stream.pull(300) if event.start_ticks > now])
    assert KEYS[stream.snapshot().decoder["key"]] == "E minor"
    for piece, key in ((before, "E minor"), (inside, "F# major")):
        assert len(piece.notes) > 20 and not outside(piece, key)
        assert all(55 <= note.pitch <= 70 for note in piece.notes)
    assert {note.pitch for note in before.notes} & {55, 69} and {note.pitch for note in inside.notes} & {56, 70}


def test_drums_have_no_key() -> None:
    piece = scores(model_of("ensemble"), 1, 600, key="B major")[0]
    assert {note.pitch for note in piece.notes if note.voice == 1} == {62}
    assert not outside(piece, "B major")


def test_a_key_holds_from_its_token_on_in_a_piece_of_another_key() -> None:
    model = model_of("bach")
    stream = model.stream(seed=2, key="C major")
    before = stream.pull(150)
    stream.set(key="F# major")
    after = model.tokenizer.collect(stream.pull(150))
    assert not outside(model.tokenizer.collect(before), "C major")
    assert after.notes and not outside(after, "F# major")
    assert stream.history().notes[: len(after.notes)] != after.notes


def test_a_key_asked_for_in_the_midst_of_a_piece_yields_to_none_of_its_bar_lines() -> None:
    """They name the key in which it is written."""
    stream = model_of("bach").stream(seed=3, at_end="never")
    stream.pull(150)
    key = KEYS[int(stream._decoder.memory[score_memory.IN_KEY])]
    stream.set(key="E major" if key == "B♭ major" else "B♭ major")
    assert any(isinstance(event, Bar) for event in stream.pull(300))
    assert "key" not in stream.relaxed


@pytest.mark.parametrize("name", ["bach", "performance"])
def test_the_primers_key_is_recorded_by_name(name: str) -> None:
    scale = (64, 66, 67, 69, 71, 72, 75, 76)  # E minor, harmonic
    notes = tuple(Note(480 * step, 480, pitch) for step, pitch in enumerate(scale))
    model = model_of(name)
    if name == "performance":  # what the primer says, though one note is held for long
        notes += (Note(480, 9000, 70),)
    stream = model.stream(Score(480, (Voice("Soprano"),), notes), seed=1, key="primer")
    assert stream.options.key == "E minor"
    stream.set(key="C major")
    stream.set(key="primer")
    assert stream.options.key == "E minor"
    assert not outside(model.tokenizer.collect(stream.pull(200)), "E minor")
    with pytest.raises(CarouselError, match="key primer follows the key of a primer"):
        model.stream(key="primer")


def test_voices_keep_to_their_ranges() -> None:
    for piece in scores(model_of("bach"), 4, 300, ranges="soprano:65-72, Bass:45-55"):
        assert {note.voice for note in piece.notes} == {0, 1, 2, 3}
        assert all(65 <= note.pitch <= 72 for note in piece.notes if note.voice == 0)
        assert all(45 <= note.pitch <= 55 for note in piece.notes if note.voice == 3)
    for piece in scores(model_of("performance"), 4, 300, ranges="60-64"):
        assert {note.pitch for note in piece.notes} <= set(range(60, 65))
    for piece in scores(model_of("bach"), 2, 300, ranges="70-79"):  # beyond tenor and bass, who are silent
        assert {note.voice for note in piece.notes} == {0, 1}


@pytest.mark.parametrize("name", ["bach", "performance", "ensemble"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_notes_sound_at_once_than_may(name: str, most: int) -> None:
    assert max(most_at_once(piece) for piece in scores(model_of(name), 3, 300, voices_at_once=most)) == most


@pytest.mark.parametrize("name", ["bach", "folk", "performance", "ensemble"])
@pytest.mark.parametrize("most", [1, 3])
def test_no_more_notes_begin_in_any_second_than_may(name: str, most: int) -> None:
    for piece in scores(model_of(name), 3, 300, density=most):
        assert len(piece.notes) > 5
        assert most_in_a_second(piece) <= most


def test_metre_and_tempo_come_with_the_next_bar_and_stay() -> None:
    model = model_of("folk")
    stream = model.stream(seed=5, metre="6/8", tempo=119.0)
    events = stream.pull(500)
    here = stream.horizon_ticks
    stream.set(metre="3/4", tempo=180.0)
    later = stream.pull(500)
    found = model.tokenizer.collect(events)
    assert {(event.numerator, event.denominator) for event in found.time_signatures} == {(6, 8)}
    assert {event.quarters_per_minute for event in found.tempos} == {120.0}
    metres = [event for event in later if isinstance(event, TimeSignature)]
    assert {(event.numerator, event.denominator) for event in metres} == {(3, 4)}
    assert {event.quarters_per_minute for event in later if isinstance(event, Tempo)} == {180.0}
    assert 0 < metres[0].start_ticks - here <= 36, "at the end of the bar that it found"
    assert stream.relaxed == {}


def parallels(score: Score) -> tuple[int, int]:
    """How many music21 finds between all pairs of voices, and in how many bars."""
    import music21

    whole: Any = music21.stream.Score()
    for index, voice in enumerate(score.voices):
        part: Any = music21.stream.Part(id=voice.name)
        for note in score.notes:
            if note.voice == index:
                length = note.duration_ticks / score.ticks_per_quarter
                part.insert(
                    note.start_ticks / score.ticks_per_quarter, music21.note.Note(note.pitch, quarterLength=length)
                )
        whole.insert(0, part)
    quartets = music21.voiceLeading.iterateAllVoiceLeadingQuartets(whole)
    kinds = ("parallelFifth", "parallelOctave", "parallelUnison")
    return sum(any(getattr(quartet, kind)() for kind in kinds) for quartet in quartets), len(score.bars)


@pytest.mark.parametrize(
    ("bass_moves_at", "bass", "soprano", "expected"),
    [
        (2, (48, 50), (67, 69), True),  # from a fifth to a fifth, together
        (1, (48, 50), (67, 69), False),  # the bass has moved before
        (2, (48, 50), (72, 74), True),  # octaves
        (2, (48, 50), (67, 71), False),  # from a fifth to a sixth
        (2, (48, 50), (68, 69), False),  # from a sixth to a fifth
        (2, (48, 48), (67, 67), False),  # repeated
    ],
)
def test_voices_that_move_together_from_a_fifth_to_a_fifth_are_parallel(
    bass_moves_at: int, bass: tuple[int, int], soprano: tuple[int, int], expected: bool
) -> None:
    voices = (Voice("Soprano", 19), Voice("Bass", 19))
    lines = {0: (soprano, 2), 1: (bass, bass_moves_at)}
    notes = [
        Note(480 * start, 480 * (end - start), pitch, voice=voice)
        for voice, (pitches, moves_at) in lines.items()
        for pitch, start, end in zip(pitches, (0, moves_at), (moves_at, 4), strict=True)
    ]
    tokenizer = ScoreTokenizer.fit([Score(480, voices, tuple(notes), (TimeSignature(0, 4, 4),))])
    piece = Score(480, voices, tuple(sorted(notes, key=lambda note: (note.start_ticks, note.voice))))
    decoder, table, found = tokenizer.decoder(), tokenizer.table, []
    for token in tokenizer.encode(replace(piece, time_signatures=(TimeSignature(0, 4, 4),))).tolist():
        memory = decoder.memory
        if table.kinds[token] == kinds.PITCH:
            pitch = table.values[token] + int(score_memory.transposition(tokenizer.grammar.rules, memory))
            found.append((int(memory[score_memory.IN_VOICE]), pitch, memory.copy()))
        decoder.feed(token)
    # The voice that is said last at a tick is the one that can see the other's move.
    judged = [is_parallel(tokenizer.grammar.rules, memory, voice, pitch) for voice, pitch, memory in found[2:]]
    assert any(judged) == expected


def test_music21_finds_no_parallels_where_none_may_be() -> None:
    free, kept = (scores(model_of("bach"), 3, 420, temperature=1.4, parallels=may)[0] for may in (True, False))
    assert parallels(free)[0] > 0
    found, bars = parallels(kept)
    assert (found, bars > 10) == (0, True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_music21_finds_no_parallels_in_five_hundred_bars() -> None:
    counts = np.array([parallels(piece) for piece in scores(model_of("bach"), 20, 1600, parallels=False)])
    assert counts[:, 1].sum() >= 500
    assert counts[:, 0].sum() == 0


def test_only_characters_that_may_be_are_said() -> None:
    for name, characters in (("char", "abc \n"), ("char", "abc "), ("shakespeare", "etaoin shrdlu\n")):
        text = "".join(map(str, model_of(name).stream(seed=1, characters=characters).pull(200)))
        assert set(text) == set(characters)


def test_a_stream_starts_with_what_it_must() -> None:
    model = model_of("shakespeare")
    stream = model.stream("A primer.\n", seed=1, starts_with="ROMEO:\nBut soft")
    assert "".join(map(str, stream.take(9))) == "ROMEO:\nBu"
    stream.set(temperature=0.5)
    assert "".join(map(str, stream.take(6))) == "t soft"
    text = "".join(map(str, stream.take(80)))
    stream.set(starts_with="ALL:\n")
    assert "".join(map(str, stream.pull(5))) == "ALL:\n"
    stream.pull(100)
    assert stream.history().startswith(f"A primer.\nROMEO:\nBut soft{text}ALL:\n")
    stream.rewind(103)
    assert "".join(map(str, stream.pull(3))) == "L:\n"
    resumed = model.resume(stream.snapshot(), starts_with="x" * 100)
    assert "".join(map(str, resumed.pull(150))).startswith("x" * 100)
