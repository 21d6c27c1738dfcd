"""A given melody comes back note for note, in any voice and under every law of streams; what cannot be is told."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Score, Tempo, TimeSignature, Voice
from generator.streaming.engine import Engine, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from tests.conftest import ROOT, run
from tests.test_constraints import model_of

STEPS = (67, 69, 71, 72, 74, 71, 69, 67)


def tune(
    *lengths: int, metre: tuple[int, int] = (4, 4), start: int = 0, pitches: tuple[int, ...] = STEPS, name: str = "Tune"
) -> Score:
    """A melody in notes of so many ticks, 12 a quarter."""
    notes, at = [], start
    for index, length in enumerate(lengths or (12,) * 6 + (24,)):
        notes.append(Note(at, length, pitches[index % len(pitches)]))
        at += length
    return Score(12, (Voice(name),), tuple(notes), (TimeSignature(0, *metre),), (Tempo(0, 96.0),))


def sung(score: Score, voice: int = 0) -> list[tuple[int, int, int]]:
    per = 12 / score.ticks_per_quarter
    return [
        (round(note.start_ticks * per), round(note.duration_ticks * per), note.pitch)
        for note in score.notes
        if note.voice == voice
    ]


def harmonised(text: str, seed: int = 1, **options: Any) -> tuple[Stream, Score]:
    """A stream of `bach` to the melody's end, and what it says. Nothing yields."""
    model = model_of("bach")
    stream = model.stream(seed=seed, melody=text, at_end="stop", **options)
    piece = model.tokenizer.collect(stream.pull(4000))
    assert stream.ended
    assert "melody" not in stream.relaxed
    return stream, piece


@cache
def chorale() -> Score:
    """What `bach` says, of two pieces."""
    model = model_of("bach")
    return model.tokenizer.collect(model.stream(seed=3, metre="3/4").pull(500))


@pytest.mark.parametrize("voice", ["Soprano", "Alto", "Tenor", "Bass"])
def test_every_voice_can_have_the_melody(voice: str) -> None:
    model = model_of("bach")
    index = [part.name for part in model.tokenizer.voices].index(voice)
    stream, piece = harmonised(model.melody(chorale(), voice), parallels=True)
    assert sung(piece, index) == sung(chorale(), index)
    assert {note.voice for note in piece.notes} == {0, 1, 2, 3}
    assert piece.time_signatures == (TimeSignature(0, 3, 4),)
    last = piece.bars[-1].start_ticks
    assert last < max(start + length for start, length, _ in sung(piece, index)) <= last + 36
    assert stream.relaxed == {}


@st.composite
def melodies(draw: st.DrawFn) -> str:
    """For `bach`, as text: rests, ties over bar lines, changes of metre, any chromatic line in any voice's range."""
    table = model_of("bach").tokenizer.table  # type: ignore[attr-defined]
    part = draw(st.sampled_from(table.parts))
    at, words = 0, []
    for _ in range(draw(st.integers(1, 3))):
        metre = draw(st.sampled_from([metre for metre in table.metres if metre != (12, 8)]))
        words.append((at, f"{at}={metre[0]}/{metre[1]}"))
        bars = draw(st.integers(1, 3)) * 48 * metre[0] // metre[1]
        until, begun = at + bars, False
        while at < until:
            length, pitch = draw(st.sampled_from([6, 12, 24, 36, 48])), draw(st.integers(part.low, part.high))
            rests = draw(st.booleans()) and begun
            if not rests:
                begun = True
                words.append((at, f"{at}:{min(length, until - at)}:{pitch}"))
            at = min(at + length, until)
    key = draw(st.sampled_from(["G major", "D minor", "B♭ major"]))
    return f"{part.name}; {key}; " + " ".join(word for _, word in words)


@given(text=melodies(), seed=st.integers(0, 99), step=st.integers(1, 70))
@settings(max_examples=12)
def test_any_melody_is_kept_however_the_stream_is_cut(text: str, seed: int, step: int) -> None:
    model = model_of("bach")
    stream, piece = harmonised(text, seed, temperature=1.5)
    voice = [part.name for part in model.tokenizer.voices].index(text.split(";")[0])
    notes = [word for word in text.split("; ")[2].split() if ":" in word]
    assert [":".join(map(str, note)) for note in sung(piece, voice)] == notes
    metres = [f"{m.start_ticks}={m.numerator}/{m.denominator}" for m in piece.time_signatures]
    wanted = [word for word in text.split("; ")[2].split() if "=" in word]
    changes = [w for i, w in enumerate(wanted) if not i or w.split("=")[1] != wanted[i - 1].split("=")[1]]
    assert metres == changes
    other = model.stream(seed=seed, melody=text, at_end="stop", temperature=1.5)
    events = []
    while not other.ended:
        events += other.pull(step)
    assert model.tokenizer.collect(events) == piece
    assert list(stream.past()) == events


def test_company_forks_takes_and_plain_python(tmp_path: Path) -> None:
    model = model_of("bach")
    text = model.melody(tune(*(12,) * 30, 24))
    engine = Engine(model, rows=3)
    streams = [
        engine.stream(seed=seed, at_end="stop", **more)
        for seed, more in enumerate(({"melody": text}, {}, {"melody": text, "key": "E minor"}, {"density": 3}))
    ]
    engine.pull(streams, 90)
    streams[0].fork().snapshot().save(tmp_path / "a.take")
    found = [model.tokenizer.collect(list(stream.past()) + stream.pull(2000)) for stream in streams]
    assert found[0] == harmonised(text, 0)[1]
    assert sung(found[0]) == sung(found[2]) == sung(tune(*(12,) * 30, 24))
    resumed = model.resume(Snapshot.load(tmp_path / "a.take"))
    assert resumed.options.melody == text
    assert model.tokenizer.collect(list(resumed.past()) + resumed.pull(2000)) == found[0]
    resumed.rewind(150)
    assert model.tokenizer.collect(list(resumed.past()) + resumed.pull(2000)) == found[0]


def test_a_pickup_begins_alone_and_bars_name_the_key() -> None:
    model = model_of("bach")
    text = model.melody(tune(12, *(12,) * 6, 24, start=36))
    _, piece = harmonised(text)
    assert min(note.start_ticks for note in piece.notes) == 36
    assert [bar.start_ticks for bar in piece.bars] == [0, 48, 96]
    for asked, key in ({}, "G major"), ({"key": "D major"}, "D major"):
        stream = model.stream(melody=text, **asked)
        stream.pull(3)
        assert stream.snapshot().decoder["memory"]["key"] == [*_keys()].index(key)


def _keys() -> tuple[str, ...]:
    from generator.music.keys import KEYS

    return KEYS


def test_after_the_melody_the_next_piece_is_free() -> None:
    model = model_of("bach")
    stream = model.stream(seed=2, melody=model.melody(tune()))
    piece = model.tokenizer.collect(stream.pull(400))
    assert sung(piece)[:7] == sung(tune())
    assert piece.piece_ends[0].start_ticks >= 96
    assert any(note.voice == 0 and note.start_ticks >= 96 for note in piece.notes)
    assert stream.relaxed == {}


def test_other_constraints_go_with_it() -> None:
    model = model_of("bach")
    text = model.melody(tune(*(12,) * 31, pitches=(67, 69, 70, 72, 73)))  # with notes that D minor has not
    stream, piece = harmonised(text, key="D minor", ranges="Bass:40-50")
    assert sung(piece) == sung(tune(*(12,) * 31, pitches=(67, 69, 70, 72, 73)))
    assert stream.relaxed.keys() == {"key"}
    assert all(note.pitch % 12 in {2, 4, 5, 7, 9, 10, 0} for note in piece.notes if note.voice)
    assert all(40 <= note.pitch <= 50 for note in piece.notes if note.voice == 3)


# Files


def write(path: Path, score: Score) -> Path:
    midi.write(score, path)
    return path


BACH = ROOT / "checkpoints" / "bach"


def test_the_command_keeps_the_melody_and_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = write(tmp_path / "tune.mid", tune()), tmp_path / "out.mid"
    command = (BACH, "--melody", file, "--seed", 4, "--temperature", 0.8)
    assert run(*command, "--best-of", 3, "-o", out, "--save", tmp_path / "a.take") == 0
    assert sung(midi.read(out)) == sung(tune())
    assert "best of 3: seed" in capsys.readouterr().err
    file.unlink()
    for path in (out, tmp_path / "a.take"):
        assert run("--replay", path) == 0
        assert "identical" in capsys.readouterr().err
    seed = Snapshot.load(tmp_path / "a.take").options.seed
    write(file, tune())
    assert run(*command[:-4], "--seed", seed, "--temperature", 0.8, "--chunk", 50, "-o", tmp_path / "again.mid") == 0
    assert (tmp_path / "again.mid").read_bytes() == out.read_bytes()
    assert run("--tree", tmp_path / "a.take") == 0


def test_the_voice_is_the_named_one_or_the_first_of_single_notes(tmp_path: Path) -> None:
    model = model_of("bach")
    chords = tuple(Note(at, 12, pitch) for at in (0, 12) for pitch in (67, 64))
    line = tuple(Note(at, 12, 60 + at // 12, voice=1) for at in (0, 12, 24))
    low = tuple(Note(at, 12, 50 - at // 12, voice=2) for at in (0, 12, 24))
    score = Score(12, (Voice("Piano"), Voice("Flute"), Voice("Bass")), (*chords, *line, *low))
    assert model.melody(score) == "Soprano; C major; 0=4/4 0:12:60 12:12:61 24:12:62".replace("C major", key_in(score))
    assert model.melody(score, "bass").endswith("0=4/4 0:12:50 12:12:49 24:12:48")


def key_in(score: Score) -> str:
    return model_of("bach").melody(score).split("; ")[1]


def test_played_lengths_go_to_the_nearest() -> None:
    played = Score(480, (Voice("Piano"),), (Note(0, 455, 67), Note(480, 520, 69), Note(960, 920, 71)))
    assert model_of("bach").melody(played).split("; ")[2] == "0=4/4 0:12:67 12:12:69 24:24:71"


BROKEN = [
    (
        tune(12, 12, pitches=(72, 84)),
        (),
        "bar 1, beat 2: C6 is out of Soprano's range, A3 to A5; --transpose -12 brings",
    ),
    (tune(12, 12, pitches=(40, 90)), (), "bar 1, beat 1: E2 is out of Soprano's range, A3 to A5; its range is too"),
    (tune(12, pitches=(80,)), ("--voice", "bass"), "out of Bass's range, C2 to E4; --transpose -24 brings it there"),
    (tune(12), ("--voice", "Flute"), "the voices here are Soprano, Alto, Tenor, Bass"),
    (tune(12), ("--transpose", "99"), "leads out of what MIDI has"),
    (tune(12, metre=(5, 4)), (), "the metre is 5/4; this checkpoint knows 4/4, 3/4, 3/2, 12/8"),
    (tune(12, 4, 4, 4), (), "bar 1, beat 2.333: nothing that this checkpoint knows begins there"),
    (tune(12, 66), (), "bar 1, beat 2: a note of 66/12 quarters"),
    (tune(12, 11, 12, start=1), (), "bar 1, beat 1.083: nothing that this checkpoint knows begins there"),
    (Score(12, (Voice("A"),), (Note(0, 24, 67), Note(12, 24, 69))), (), "bar 1, beat 1: a note sounds into the next"),
    (Score(12, (Voice("A"),), (Note(0, 12, 67), Note(0, 12, 64))), (), "a note sounds into the next one"),
    (Score(12, (Voice("A"),), ()), (), "with no notes"),
    (Score(12, (Voice("A", drum=True),), (Note(0, 12, 40),)), (), "no notes to take the melody from"),
    (tune(12), ("--at-end", "never"), "--melody comes to an end"),
    (tune(12), ("--metre", "3/4"), "--melody brings its metre"),
    (tune(12), ("--best-of", "2", "--seconds", "3"), "leave --seconds out"),
]


@pytest.mark.parametrize(("score", "more", "message"), BROKEN, ids=[case[2][:40] for case in BROKEN])
def test_what_cannot_be_sung_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], score: Score, more: tuple[str, ...], message: str
) -> None:
    path = write(tmp_path / "tune.mid", score)
    assert run(BACH, "--melody", path, *more, "-o", tmp_path / "out.mid") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.mid").exists()


def test_other_checkpoints_and_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "tune.mid", tune())
    with pytest.raises(CarouselError, match="not for a checkpoint of kind performance"):
        model_of("performance").melody(tune())
    with pytest.raises(CarouselError, match="not for a checkpoint of kind performance"):
        model_of("performance").stream(melody="Piano; C major; 0=4/4 0:12:60")
    (tmp_path / "empty.mid").write_bytes(b"")
    for arguments, message in [
        ((ROOT / "checkpoints" / "shakespeare", "--melody", path), "not for a checkpoint of kind char"),
        ((BACH, "--melody", tmp_path / "empty.mid"), "empty.mid"),
        ((BACH, "--melody", tmp_path / "none.mid"), "none.mid"),
        ((BACH, "--melody", path, "--prime", path), "begins with the stream"),
        ((BACH, "--voice", "Bass"), "name its file with --melody"),
        ((BACH, "--best-of", 2), "give a length"),
    ]:
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "x",
        ";;",
        "Soprano; H major; 0=4/4 0:12:67",
        "Soprano; G major; ",
        "Soprano; G major; 0=4/4",
        "Soprano; G major; 0:12:67",
        "Soprano; G major; 0=4/4 0:12:67 0:12:69",
        "Soprano; G major; 0=4/4 12:12:67 0:12:69",
        "Soprano; G major; 0=4/4 0:0:67",
        "Soprano; G major; 0=4/4 0:12:999",
        "Soprano; G major; 0=4/4 9999999999:12:67",
        "Soprano; G major; 0=4/4 0=3/4 0:12:67",
        "Soprano; G major; 0=4/4 0:12:67 96=3/4",
        "Soprano; G major; 0=0/0 0:12:67",
        "Flute; G major; 0=4/4 0:12:67",
        "Soprano; G major; 0=4/4 " + "0:12:67 " * 2**15,
    ],
)
def test_broken_text_is_refused(text: str) -> None:
    with pytest.raises(CarouselError) as error:
        model_of("bach").stream(melody=text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_the_longest_text_of_a_melody() -> None:
    text = "Soprano; G major; 0=4/4 0:12:67"
    limit = 131_072
    assert model_of("bach").stream(melody=text + " " * (limit - len(text))).options.melody
    with pytest.raises(CarouselError, match="melody"):
        model_of("bach").stream(melody=text + " " * (limit + 1 - len(text)))


def test_a_melody_set_too_late_yields_where_it_cannot_be_kept() -> None:
    """Its ticks count from the stream's start; what is past is past."""
    model = model_of("bach")
    stream = model.stream(seed=1)
    stream.pull(120)
    now = stream.horizon_ticks
    stream.set(melody="Soprano; G major; 0=4/4 " + " ".join(f"{at}:12:67" for at in range(0, 960, 12)))
    piece = model.tokenizer.collect(list(stream.past()) + stream.pull(600))
    kept = {start for start, _, pitch in sung(piece) if pitch == 67}
    assert set(range(now + 48 - now % 12, min(960, stream.horizon_ticks), 12)) <= kept
    assert len(kept) > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_held_out_sopranos_are_kept() -> None:
    model = load(ROOT / "checkpoints" / "bach")
    dataset = prepare(open_corpus("bach-chorales"), model.tokenizer, progress=False)
    pieces = [model.tokenizer.decode(tokens) for split in ("validation", "test") for tokens in dataset.split(split)][
        :20
    ]
    assert len(pieces) == 20
    engine = model.engine()
    streams = [engine.stream(seed=1, at_end="stop", melody=model.melody(piece)) for piece in pieces]
    for piece, stream, events in zip(pieces, streams, engine.pull(streams, 20_000), strict=True):
        assert sung(model.tokenizer.collect(events)) == sung(piece)
        assert stream.relaxed == {}
