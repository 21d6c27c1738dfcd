"""A song goes on in its own tracks, or around one of them; nothing of it is lost, and what the model hears is said."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.cli.song import accompanied, chosen, main_tempo
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.marks import with_landmarks
from generator.music.score import Note, PieceEnd, Score, Tempo, Voice
from generator.music.song import CONTINUATION, SUNG, Song, _restored, song_of, with_new_notes
from generator.streaming.snapshot import Snapshot
from tests.conftest import ROOT, four_voices, run, tiny
from tests.test_constraints import model_of

BACH = ROOT / "checkpoints" / "bach"
BARS = 4
QUARTER = 96


def song(path: Path, kind: int = 1) -> None:
    """Six tracks at 89 in G major, on channels out of order, with a fade-out, a bend and a lyric."""
    bars = range(BARS)
    tracks = {
        ("Lead", 80, 3): [(4 * bar + at, 1, (79, 81, 83, 74)[at], 104) for bar in bars for at in range(4)],
        ("Strings", 48, 0): [(4 * bar, 4, pitch, 60) for bar in bars for pitch in (67, 71, 74)],
        ("Guitar", 25, 5): [(4 * bar + at / 2, 0.5, (55, 59, 62, 67)[at % 4], 75) for bar in bars for at in range(8)],
        ("Bass", 33, 1): [(4 * bar + at, 1, (43, 43, 38, 31)[at], 92) for bar in bars for at in range(4)],
        ("Piano", 0, 7): [(4 * bar + 2, 2, pitch, 70) for bar in bars for pitch in (59, 62, 67)],
        ("Kit", 0, 9): [(4 * bar + at / 2, 0.125, (36, 42)[at % 2], 100) for bar in bars for at in range(8)],
    }
    end = 4 * BARS * QUARTER
    extra = {
        3: [(0, mido.Message("control_change", control=11, value=127, channel=3))]
        + [
            (end - 40 + at, mido.Message("control_change", control=11, value=120 - 3 * at, channel=3))
            for at in range(40)
        ],
        1: [(end - 10, mido.Message("pitchwheel", pitch=500, channel=1)), (0, mido.MetaMessage("lyrics", text="Oh"))],
    }
    conductor = [
        (0, mido.MetaMessage("track_name", name="Evening")),
        (0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(89))),
        (0, mido.MetaMessage("key_signature", key="G")),
    ]
    written = [conductor]
    for (name, program, channel), notes in tracks.items():
        messages: list[tuple[int, Any]] = [(0, mido.MetaMessage("track_name", name=name))] * (kind == 1)
        messages.append((0, mido.Message("program_change", program=program, channel=channel)))
        messages += extra.get(channel, [])
        for start, length, pitch, velocity in notes:
            begin, stop = round(start * QUARTER), round((start + length) * QUARTER)
            messages.append((stop, mido.Message("note_off", note=pitch, channel=channel)))
            messages.append((begin, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)))
        written.append(sorted(messages, key=lambda one: (one[0], one[1].type == "note_on")))
    if kind == 0:
        written = [sorted((one for track in written for one in track), key=lambda one: one[0])]
    file = mido.MidiFile(type=kind, ticks_per_beat=QUARTER)
    file.tracks = [midi.track_of(track) for track in written]
    file.save(path)


def timed(path: Path) -> list[list[tuple[float, str]]]:
    """The messages of each track with their times in quarters, without ends of tracks."""
    file = mido.MidiFile(path)
    tracks = []
    for track in file.tracks:
        now, found = 0, []
        for message in track:
            now += message.time
            if message.type != "end_of_track":
                found.append((now / file.ticks_per_beat, str(message.copy(time=0))))
        tracks.append(found)
    return tracks


def onsets(path: Path) -> dict[str, list[tuple[float, int]]]:
    voices = pretty_midi.PrettyMIDI(str(path)).instruments
    return {voice.name: [(round(note.start, 3), note.pitch) for note in voice.notes] for voice in voices}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    song(tmp_path / "song.mid")
    return tmp_path


def test_a_song_goes_on_in_its_own_tracks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BACH, "--prime", "song.mid", "--seed", 3, "--bars", 3, "-o", "longer.mid", "--save", "song.take") == 0
    said = capsys.readouterr().err
    for line in (
        "-o FILE.mid begins with the whole song and goes on at 89 quarters a minute; the model hears of it:",
        "WARNING: tempo 72 instead of 89: the nearest that this checkpoint knows",
        "track 1 Lead (Lead 1 (square)) → Soprano: 12 of 16 notes; left out: 4 out of its range",
        "track 2 Strings (String Ensemble 1) → Alto: 4 of 12 notes; left out: 8 at the place of other notes",
        "track 4 Bass (Electric Bass (finger)) → Bass: 12 of 16 notes; left out: 4 out of its range",
        "track 6 Kit (drums) → left out: 32 notes, as no voice here is for drums",
    ):
        assert f"--prime: {line}\n" in said, said
    before, after = timed(here / "song.mid"), timed(here / "longer.mid")
    assert len(before) == len(after) == 7
    for old, new in zip(before, after, strict=True):
        assert not Counter(old) - Counter(new), "every message is still there"
    added = [list((Counter(new) - Counter(old)).elements()) for old, new in zip(before, after, strict=True)]
    [join] = [time for time, message in added[0] if CONTINUATION in message]
    assert join >= 4 * BARS - 1
    assert all(time >= join for track in added[1:] for time, _ in track)
    assert [any("note_on" in message for _, message in track) for track in added[1:]] == [True] * 4 + [False] * 2
    assert any("control=11 value=127" in message for _, message in added[1]), "the fade-out does not go on"
    assert any("pitchwheel channel=1 pitch=0" in message for _, message in added[4])
    assert {message.split("velocity=")[1][:3].strip() for _, message in added[1] if "note_on" in message} == {"104"}
    found = pretty_midi.PrettyMIDI("longer.mid")
    assert found.get_tempo_changes()[1] == pytest.approx([89], abs=1e-3)
    assert [key.key_number for key in found.key_signature_changes] == [7]
    assert [(voice.name, voice.program) for voice in found.instruments][:2] == [("Lead", 80), ("Strings", 48)]
    options = Snapshot.load("song.take").options
    assert (round(options.tempo or 0), options.metre, options.at_end) == (89, "4/4", "never")
    assert run("--replay", "longer.mid") == run("--replay", "song.take") == 0
    assert run("--resume", "song.take", "--bars", 1, "--save", "more.take", "-o", "more.mid") == 0
    assert run("--replay", "more.mid") == 0
    assert not Counter(after[1]) - Counter(timed(here / "more.mid")[1])
    assert run("--replay", "longer.mid", "-o", "again.take") == 0
    assert Path("again.take").read_bytes() == Path("song.take").read_bytes()


@pytest.mark.slow
def test_seconds_and_another_tempo_count_in_the_file(here: Path) -> None:
    assert run(BACH, "--prime", "song.mid", "--seed", 3, "--seconds", 5, "-o", "a.mid") == 0
    start = 4 * BARS * 60 / 89
    assert start + 4 < mido.MidiFile("a.mid").length <= start + 5 + 1e-3
    assert run(BACH, "--prime", "song.mid", "--tempo", 120, "--bars", 2, "-o", "b.mid", "--no-governor") == 0
    assert pretty_midi.PrettyMIDI("b.mid").get_tempo_changes()[1] == pytest.approx([89, 120], abs=1e-3)
    for suffix in ("musicxml", "wav"):
        assert run(BACH, "--prime", "song.mid", "--bars", 1, "-o", f"c.{suffix}") == 0
    assert run("--replay", "c.musicxml") == run("--replay", "a.mid") == run("--replay", "b.mid") == 0


def test_the_model_writes_the_tracks_around_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BACH, "--prime", "song.mid", "--keep", "lead", "--seed", 3, "-o", "other.mid") == 0
    said = capsys.readouterr().err
    for line in (
        "kept: 1 Lead, which the model hears as Soprano, 1 octave lower: 16 of 16 notes",
        "kept: 6 Kit, which the model does not hear",
        "written anew: 2 Strings, by Alto",
        "silent: 5 Piano; no voice is left",
    ):
        assert f"--prime: {line}\n" in said, said
    before, after = timed(here / "song.mid"), timed(here / "other.mid")
    assert before[1] == after[1] and before[6] == after[6] and not Counter(before[0]) - Counter(after[0])
    old, new = onsets(here / "song.mid"), onsets(here / "other.mid")
    assert old.keys() - new.keys() == {"Piano"}
    assert all(new[name] and new[name] != old[name] for name in ("Strings", "Guitar", "Bass"))
    assert mido.MidiFile("other.mid").length == pytest.approx(mido.MidiFile("song.mid").length, abs=0.7)
    assert run("--replay", "other.mid") == 0


@pytest.mark.slow
def test_a_kept_track_in_another_voice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BACH, "--prime", "song.mid", "--keep", "2", "--voice", "soprano", "--seed", 3, "-o", "a.mid") == 0
    said = capsys.readouterr().err
    assert "kept: 2 Strings, which the model hears as Soprano: 4 of 12 notes" in said
    assert "written anew: 1 Lead, by Alto" in said
    assert onsets(here / "song.mid")["Strings"] == onsets(here / "a.mid")["Strings"]


@pytest.mark.parametrize(
    ("names", "voice", "words"),
    [
        ("Lead,Bass", None, "takes one pitched track, .* 1 Lead and 4 Bass are 2; name one"),
        ("kit", None, "takes one pitched track, .* here is none"),
        ("Solo", None, "no track 'solo'; the song has 1 Lead, 2 Strings"),
        ("7", None, "no track '7'"),
        ("1", "Viola", "--voice: no voice 'Viola'; choose one of Soprano, Alto"),
    ],
)
def test_what_cannot_be_kept(here: Path, names: str, voice: str | None, words: str) -> None:
    path = here / "song.mid"
    with pytest.raises(CarouselError, match=words):
        accompanied(path, midi.read(path), [names], model_of("bach"), voice)


def test_kept_tracks_are_those_of_a_song(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drums, score = ROOT / "checkpoints" / "drums", tiny("score")
    score.save(here / "score")
    for command, words in (
        ((drums, "--prime", "song.mid", "--keep", "1"), "not for a checkpoint of kind drums"),
        (("score", "--keep", "1"), "name its file with --prime"),
        (("score", "--prime", "song.mid", "--keep", "1", "--melody", "song.mid"), "without --melody"),
    ):
        assert run(*command, "-o", "out.mid") == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and words in said
        assert not Path("out.mid").exists()


@pytest.mark.slow
def test_drums_go_on_in_their_track(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT / "checkpoints" / "drums", "--prime", "song.mid", "--seed", 3, "--bars", 2, "-o", "a.mid") == 0
    assert "track 6 Kit (drums) → Drums: 32 of 32 notes\n" in capsys.readouterr().err
    old, new = onsets(here / "song.mid"), onsets(here / "a.mid")
    assert [name for name in new if new[name] != old[name]] == ["Kit"]


def test_a_file_of_one_track_stays_one(tmp_path: Path) -> None:
    song(tmp_path / "zero.mid", kind=0)
    data, score = (tmp_path / "zero.mid").read_bytes(), midi.read(tmp_path / "zero.mid")
    assert chosen(score, ["1, 3", "2"]) == [0, 1, 2]
    found = song_of(data, score, [0, None, None, None, None, None], (Voice("Solo"),), 12)
    assert found.tracks[0][0] == 0 and mido.MidiFile(file=io.BytesIO(found.midi)).type == 0
    wider = song_of(data, score, [0, None, None, None, None, None], (Voice("Solo"), Voice("Ålto", 68)), 7)
    file = mido.MidiFile(file=io.BytesIO(wider.midi), charset="utf-8")
    assert (file.type, file.ticks_per_beat, len(file.tracks), file.tracks[-1].name) == (1, 672, 2, "Ålto")


def test_a_coarse_file_that_mido_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written again in finer ticks, and each voice keeps its track."""
    score = Score(24, (Voice("Lead"), Voice("Bass", 33)), (Note(0, 24, 70), Note(24, 24, 40, voice=1)))
    monkeypatch.setattr("generator.music.song._open", lambda data: None)
    found = song_of(b"", score, [0, 1], (Voice("Solo"), Voice("Low")), 12)
    assert [track for track, *_ in found.tracks] == [1, 2]


def test_a_song_that_cannot_go_on_is_a_primer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no channel is left for a new track, or the file is too large."""
    tiny("score").save(tmp_path / "score")
    voices = tuple(Voice(f"Part {number}", number) for number in range(15))
    notes = tuple(Note(480 * step, 480, 40 + voice, voice=voice) for step in range(4) for voice in range(15))
    midi.write(Score(480, voices, notes), tmp_path / "full.mid")
    score = midi.read(tmp_path / "full.mid")
    with pytest.raises(CarouselError, match="uses all channels, and none is left for Solo"):
        song_of((tmp_path / "full.mid").read_bytes(), score, [None] * 15, (Voice("Solo"),), 12)
    midi.write(four_voices(2), tmp_path / "mine.mid")
    monkeypatch.setattr("generator.music.song.MAX_BYTES", 99)
    assert run(tmp_path / "score", "--prime", tmp_path / "mine.mid", "--tokens", 9, "-o", tmp_path / "a.mid") == 0
    assert "--prime: a file cannot go on in the song's own tracks: 0 KB are too much" in capsys.readouterr().err
    assert run("--replay", tmp_path / "a.mid", tmp_path / "score") == 0


NOTES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(60, 64), st.integers(0, 1)), min_size=1, max_size=25
)


@settings(max_examples=20, deadline=None)
@given(NOTES, NOTES)
def test_no_note_hangs_and_none_sounds_twice(old: list[tuple[int, ...]], new: list[tuple[int, ...]]) -> None:
    def score(rows: list[tuple[int, ...]]) -> Score:
        notes = tuple(sorted((Note(*row[:3], voice=row[3]) for row in rows), key=lambda note: note.start_ticks))
        return Score(12, (Voice("Left"), Voice("Right")), notes)

    data = midi.to_bytes(score(old))
    before = midi.read(data)
    plays = [("Left", "Right").index(voice.name) for voice in before.voices]
    made = song_of(data, before, plays, (Voice("Left"), Voice("Right")), 12)
    written = with_new_notes(made, score(new), "{}", follows=True)
    sounding: set[tuple[int, int]] = set()
    for message in mido.MidiFile(file=io.BytesIO(written)):
        if message.type == "note_on":
            assert (message.channel, message.note) not in sounding
            sounding.add((message.channel, message.note))
        elif message.type == "note_off":
            sounding.remove((message.channel, message.note))
    assert not sounding
    after = midi.read(written)
    assert Counter((note.start_ticks, note.pitch) for note in before.notes) <= Counter(
        (note.start_ticks, note.pitch) for note in after.notes
    )


def test_a_damaged_song_is_refused_in_a_line() -> None:
    new = Score(12, (Voice("Solo"),), (Note(0, 12, 60),))
    for damaged in (Song(b"", ((0, 0, 80),)), Song(b"MThd", ((0, 0, 80),)), Song(midi.to_bytes(new), ((9, 0, 80),))):
        with pytest.raises(CarouselError, match="damaged"):
            with_new_notes(damaged, new, "{}", follows=True)
    with pytest.raises(CarouselError, match="damaged"):
        with_new_notes(Song(midi.to_bytes(new), ()), new, "{}", follows=False)
    silent = with_new_notes(Song(midi.to_bytes(new), ((SUNG, 0, 80),)), new, "{}", follows=False)
    assert len(midi.read(silent).notes) == 1


def test_what_a_song_leaves_is_undone() -> None:
    """A pedal that is down, a bend and a fade: after them, new notes would sound wrong or not at all."""

    def control(number: int, value: int) -> mido.Message:
        return mido.Message("control_change", channel=3, control=number, value=value)

    bend = mido.Message("pitchwheel", channel=3, pitch=900)
    track = [(0, control(7, 100)), (9, control(64, 127)), (40, control(7, 90)), (41, control(7, 5)), (44, bend)]
    other = [(0, control(11, 80).copy(channel=4))]
    assert _restored([track, other], 3) == [bend.copy(pitch=0), control(7, 100), control(64, 0)]
    ends = [(45, bend.copy(pitch=0)), (45, control(64, 0)), (45, control(7, 110))]
    assert _restored([[*track, *ends], other], 3) == []


def test_the_main_tempo_is_the_one_that_holds_longest() -> None:
    piece = replace(four_voices(8), tempos=(Tempo(0, 60.0), Tempo(960, 89.0), Tempo(15000, 40.0)))
    assert main_tempo(piece) == 89
    assert main_tempo(replace(piece, tempos=())) == 120


def test_pieces_have_markers_and_keys(tmp_path: Path) -> None:
    notes = [Note(12 * at, 12, pitch) for at, pitch in enumerate((67, 71, 74, 67, 69, 66, 67, 67))]
    notes += [Note(96 + 12 * at, 12, pitch) for at, pitch in enumerate((62, 64, 65, 67, 69, 70, 61, 62))]
    score = Score(12, (Voice("Flute", 73), Voice("Kit", drum=True)), tuple(notes), piece_ends=(PieceEnd(96),))
    midi.write(with_landmarks(score), tmp_path / "a.mid")
    read = mido.MidiFile(tmp_path / "a.mid")
    assert [message.text for message in read.tracks[0] if message.type == "marker"] == ["Piece 1", "Piece 2"]
    keys = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).key_signature_changes
    assert [(key.key_number, key.time) for key in keys] == [(7, 0.0), (14, 4.0)]
    assert midi.read(tmp_path / "a.mid").omissions == ()


@pytest.mark.slow
def test_popular_songs_go_on(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real ones, with a melody, a bridge and a piano, in whatever checkpoint of written music."""
    monkeypatch.chdir(tmp_path)
    for number in ("001", "010"):
        path = mirror / "pop909" / number / f"{number}.mid"
        for name in ("bach", "folk"):
            assert run(ROOT / "checkpoints" / name, "--prime", path, "--tokens", 200, "-o", "a.mid") == 0
            assert run("--replay", "a.mid") == 0
            for old, new in zip(timed(path), timed(tmp_path / "a.mid"), strict=False):
                assert not Counter(old) - Counter(new)
            assert run(BACH, "--prime", path, "--keep", "MELODY", "--bars", 16, "-o", "b.mid") == 0
            assert run("--replay", "b.mid") == 0
            assert onsets(tmp_path / "b.mid")["MELODY"] == onsets(path)["MELODY"]
