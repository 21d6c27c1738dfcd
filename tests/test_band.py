"""A band is two streams and one take: however it is cut, saved, forked or rewound, the same bytes come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import Band, CarouselError, Snapshot, load
from generator.music.score import Bar, Note, Score, Tempo, TimeSignature
from generator.sinks.midi import write
from generator.streaming.engine import Model
from generator.streaming.origin import read_text
from generator.tokenizers.base import Event
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import ROOT, a_beat, four_voices, random_checkpoint, run, tiny
from tests.process import python

METRES = ((4, 4), (3, 4), (2, 4), (6, 8), (9, 8))
KNOWN = ((4, 4), (3, 4), (6, 8))


def in_metre(score: Score, metre: tuple[int, int], tempo: float = 120.0, style: str = "") -> Score:
    """The notes of a score in another metre, at another tempo and in another style."""
    return replace(score, time_signatures=(TimeSignature(0, *metre),), tempos=(Tempo(0, tempo),), style=style)


@cache
def players() -> tuple[Model, Model]:
    """A fake that writes music in many metres and at several tempos, and a fake that drums in fewer."""
    tunes = [in_metre(four_voices(2), metre, tempo) for metre in METRES for tempo in (60.0, 90.0)]
    beats = [
        in_metre(a_beat(), metre, tempo, style) for metre in KNOWN for tempo, style in ((50, "funk"), (80, "jazz"))
    ]
    writer = random_checkpoint(ScoreTokenizer.fit(tunes))
    return Model(writer), Model(random_checkpoint(DrumsTokenizer.fit(beats * 10)))


def band_of(seed: int = 1, **options: Any) -> Band:
    """A band of the fakes."""
    leader, drums = players()
    return Band(leader.stream(seed=seed), drums.stream(**{"seed": seed, "style": "funk", **options}))


def resumed(take: Snapshot) -> Band:
    """The band of a take."""
    assert take.drums is not None
    leader, drums = players()
    return Band(leader.resume(take), drums.resume(take.drums), take.entries)


def hits(events: Sequence[Event], band: Band) -> list[Note]:
    return [event for event in events if isinstance(event, Note) and event.voice == len(band.leader.voices)]


@pytest.mark.parametrize("seed", range(6))
def test_the_drummers_options_may_change_between_two_bars(seed: int) -> None:
    """Where another token than a bar line comes then, the drummer begins a new piece; nothing of the past changes."""
    band = band_of(seed)
    before = list(band.take(120))
    band.drums.set(seed=seed + 9, temperature=1.5)
    assert list(band.past()) == before
    after = [*before, *band.take(200)]
    assert list(band.past()) == after == list(resumed(band.snapshot()).past())


@settings(max_examples=3, deadline=None)
@given(st.data())
def test_one_take(data: st.DataObject) -> None:
    """Cut into any chunks, saved as bytes, resumed, forked and rewound, it goes on as if nothing had happened."""
    seed = data.draw(st.integers(0, 99))
    whole = band_of(seed)
    expected = list(whole.take(160))
    band, events = band_of(seed), list[Event]()
    while band.position < 160:
        size = data.draw(st.integers(0, 64))
        for _ in range(min(data.draw(st.integers(1, 90)), 160 - band.position)):
            events += band.step(size)
        what = data.draw(st.sampled_from(["go on", "save", "fork", "rewind"]))
        if what == "save":
            band = resumed(Snapshot.from_bytes(band.snapshot().to_bytes()))
        elif what == "fork":
            fork, here = band.fork(), band.snapshot()
            list(band.take(data.draw(st.integers(0, 40))))
            assert fork.snapshot() == here
            band = fork
        elif what == "rewind":
            band.rewind(data.draw(st.integers(0, 60)))
            events = list(band.past())
    assert events == expected == list(band.past())
    assert band.snapshot() == whole.snapshot()


def test_the_drums_keep_to_the_bars() -> None:
    """Each bar of the leader has hits, which start in it, or at most a 32nd before its bar line, in order of time; and
    all the band's times are in ticks of one clock."""
    band = band_of(3)
    events = list(band.take(400))
    scale = band.ticks_per_quarter // band.leader.ticks_per_quarter
    assert [event.start_ticks * scale for event in band.leader.past()] == [
        event.start_ticks for event in events if event not in hits(events, band) and not isinstance(event, str)
    ]
    metre, bars = TimeSignature(0, 4, 4), list[tuple[int, int]]()
    struck: list[list[Note]] = []
    for event in events:
        if isinstance(event, TimeSignature):
            metre = event
        elif isinstance(event, Bar):
            bars.append((event.start_ticks, event.start_ticks + metre.bar_ticks(band.ticks_per_quarter)))
            struck.append([])
        elif isinstance(event, Note) and event.voice == len(band.leader.voices):
            struck[-1].append(event)
    assert len({metre for metre in events if isinstance(metre, TimeSignature)}) > 2
    for (start, end), notes in zip(bars, struck, strict=True):
        times = [note.start_ticks for note in notes]
        assert times == sorted(times)
        assert all(max(0, start - band.ticks_per_quarter // 8) <= time < end for time in times)
    assert sum(map(bool, struck)) > 0.9 * len(struck)


def test_the_drummer_follows_metre_tempo_and_pieces() -> None:
    """The drummer begins a piece where the leader changes or begins one, and nowhere else."""
    band = band_of(5)
    events = list(band.take(500))
    drums = band.drums.snapshot()
    tokenizer = players()[1].tokenizer
    assert isinstance(tokenizer, DrumsTokenizer)
    leader: list[tuple[Any, ...]] = []
    metre, tempo, begins = (4, 4), 120.0, True
    for event in events:
        if isinstance(event, TimeSignature):
            metre = event.numerator, event.denominator
        elif isinstance(event, Tempo):
            tempo = event.quarters_per_minute
        elif isinstance(event, Bar):
            known = tokenizer.metre_for(metre)
            wanted = known, min(80.0, max(50.0, tempo))
            if begins or wanted != leader[-1]:
                leader.append(wanted)
            begins = False
        else:
            begins = begins or type(event).__name__ == "PieceEnd"
    played = list(band.drums.past())
    metres = [(event.numerator, event.denominator) for event in played if isinstance(event, TimeSignature)]
    tempos = [event.quarters_per_minute for event in played if isinstance(event, Tempo)]
    assert list(zip(metres, tempos, strict=True)) == leader and len(leader) > 3
    assert {options.at_end for _, options in drums.timeline[1:]} == {"never"}


def test_a_style_is_heard_at_the_next_bar() -> None:
    band = band_of(2)
    list(band.take(300))
    pieces = sum(isinstance(event, TimeSignature) for event in band.drums.past())
    band.drums.set(style="jazz")
    events = list[Event]()
    while not any(isinstance(event, Bar) for event in events):
        events += band.step()
    tokens, tokenizer = band.drums.tokens(), players()[1].tokenizer
    last_line = [token for token in tokens if token in tokenizer.bar_lines][-1]
    assert tokenizer.styles[last_line - tokenizer.bar_lines.start - 1] == "jazz"
    assert sum(isinstance(event, TimeSignature) for event in band.drums.past()) == pieces + 1
    assert list(resumed(band.snapshot()).past()) == list(band.past())


def test_a_drummer_enters_and_leaves() -> None:
    """At the ticks that the take names; where nobody drums, the leader plays on alone."""
    leader, drums = players()
    band = Band(leader.stream(seed=4), drums.stream(seed=4), (50, 200))
    events = list(band.take(600))
    times = [
        hit.start_ticks // (band.ticks_per_quarter // leader.tokenizer.ticks_per_quarter) for hit in hits(events, band)
    ]
    bars = [event.start_ticks for event in band.leader.past() if isinstance(event, Bar)]
    playing = [start for start in bars if 50 <= start < 200]
    assert min(times) >= playing[0] - 2 and max(times) < bars[bars.index(playing[-1]) + 1]
    assert list(resumed(band.snapshot()).take(100)) == list(band.take(100))


def test_an_interrupt_between_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the drummer draws a bar costs nothing: the bar is drawn again."""
    expected = list(band_of(6).take(200))
    for after in (0, 7):
        band = band_of(6)
        list(band.take(100))
        step, calls = band.drums.step, iter(range(1000))

        def interrupted(ahead: int = 0, step: Any = step, calls: Any = calls, after: int = after) -> list[Event]:
            if next(calls) == after:
                raise KeyboardInterrupt
            found: list[Event] = step(ahead)
            return found

        monkeypatch.setattr(band.drums, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(band.take(100))
        band.rewind(0)
        list(band.take(200 - band.position))
        assert list(band.past()) == expected


def test_an_interrupt_of_going_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when the leader has gone back and the drummer has not: the drummer follows."""
    band, expected = band_of(6), list(band_of(6).take(150))
    list(band.take(200))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(band.drums, "rewind", Mock(side_effect=KeyboardInterrupt))
        band.rewind(150)
    list(band.take(100))
    assert list(band.past()) == expected


def test_drawn_again_from_its_origin() -> None:
    band = band_of(8)
    list(band.take(400))
    band.drums.set(style="jazz")
    list(band.take(200))
    found, *_ = read_text(band.snapshot().text())
    leader, drums = players()
    assert found.drums is not None
    again = Band(leader.engine().replay(found), drums.engine().replay(found.drums), found.entries)
    assert again.snapshot() == band.snapshot()


def test_the_file_has_a_track_of_drums(tmp_path: Path) -> None:
    import mido

    band = band_of(9)
    list(band.take(300))
    write(band.history(), tmp_path / "band.mid")
    track = mido.MidiFile(tmp_path / "band.mid").tracks[-1]
    assert track.name == "Drums"
    assert {message.channel for message in track if message.type == "note_on"} == {9}


@pytest.mark.parametrize(
    ("metre", "played"),
    [
        ((4, 4), (4, 4)),
        ((2, 2), (4, 4)),
        ((2, 4), (4, 4)),
        ((12, 8), (6, 8)),
        ((9, 8), (6, 8)),
        ((3, 8), (6, 8)),
        ((3, 2), (3, 4)),
    ],
)
def test_metres(metre: tuple[int, int], played: tuple[int, int]) -> None:
    """A metre that drummers do not know is played in the one that is nearest to it."""
    tokenizer = load("drums").tokenizer
    assert isinstance(tokenizer, DrumsTokenizer)
    assert tokenizer.metre_for(metre) == played


def test_harmed_takes_are_refused() -> None:
    """Whichever byte of the drummer's part is changed; and a part that does not belong to the leader's."""
    band = band_of(1)
    list(band.take(150))
    take = band.snapshot()
    data = bytearray(take.to_bytes())
    for at in range(5, len(data), 211):
        harmed = data[:]
        harmed[at] ^= 1
        with pytest.raises(CarouselError):
            Snapshot.from_bytes(bytes(harmed))
    assert take.drums is not None
    for wrong in ((3, 3), (5, 2), (-1,), (2**60,)):
        with pytest.raises(CarouselError):
            Snapshot.from_bytes(replace(take, entries=wrong).to_bytes())
        with pytest.raises(CarouselError, match="damaged"):
            read_text(replace(take, entries=wrong).text())
    with pytest.raises(CarouselError, match="not a take"):
        Snapshot.from_bytes(replace(take, drums=replace(take.drums, drums=take.drums, entries=(0,))).to_bytes())
    leader, drums = players()
    with pytest.raises(CarouselError, match="more bars than there are"):
        Band(leader.stream(seed=1), drums.resume(take.drums))


def test_who_cannot_play_together() -> None:
    leader, drums = players()
    with pytest.raises(CarouselError, match="kind score cannot drum"):
        Band(leader.stream(), leader.stream())
    for other in (drums, Model(tiny("char"))):
        with pytest.raises(CarouselError, match="follows the bars of written music"):
            Band(other.stream(), drums.stream())


def test_the_commands_refusals(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune, kit = folder / "tune", tmp_path / "kit"
    tiny("drums").save(kit)
    for arguments, words in (
        ((folder / "wild", "--drums", kit), "has none for it"),
        ((tune, "--drums", tune), "cannot drum"),
        ((tune, "--drums-style", "funk"), "name one with --drums"),
        ((tune, "--drums", kit, "--drums-style", "polka"), "--drums-style is 'polka'"),
        ((tune, "--drums", folder / "nobody"), "no such checkpoint"),
    ):
        assert run(*arguments, "--tokens", 5) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert words in said
    assert run(tune, "--drums", kit, "--tokens", 5, "--save", tmp_path / "a.take") == 0
    capsys.readouterr()
    assert run(tune, "--resume", tmp_path / "a.take", "--tokens", 5) == 2
    assert f"sample: {tmp_path}/a.take: it needs the checkpoint kit" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """With the shipped checkpoints: saved and resumed in other processes, rewound and replayed, the bytes are equal."""
    whole, part, rest = (str(tmp_path / name) for name in ("whole", "part", "rest"))
    begin = ["folk", "--seed", "7", "--drums", "drums", "--drums-style", "rock"]
    sample = "-m", "generator.sample"
    for arguments in (
        [*begin, "--bars", "24", "-o", f"{whole}.mid", "--save", f"{whole}.take"],
        [*begin, "--bars", "10", "--chunk", "3", "--save", f"{part}.take", "-o", f"{part}.mid"],
        ["--resume", f"{part}.take", "--bars", "14", "-o", f"{rest}.mid", "--save", f"{rest}.take"],
        ["--replay", f"{whole}.mid"],
        ["--replay", f"{whole}.take"],
    ):
        assert python(*sample, *arguments).returncode == 0
    for suffix in ("mid", "take"):
        assert Path(f"{whole}.{suffix}").read_bytes() == Path(f"{rest}.{suffix}").read_bytes()
    back = str(tmp_path / "back.mid")
    python(*sample, "--resume", f"{whole}.take", "--rewind-bars", "8", "--bars", "8", "-o", back)
    assert Path(back).read_bytes() == Path(f"{whole}.mid").read_bytes()


@pytest.mark.slow
def test_the_kick_is_on_the_downbeat() -> None:
    """The shipped drummer plays to the bars of the shipped leaders: its kicks are where bars begin, not beside that."""
    for name, style in (("bach", "funk"), ("folk", "rock")):
        leader = load(ROOT / "checkpoints" / name).stream(seed=7)
        band = Band(leader, load(ROOT / "checkpoints/drums").stream(seed=7, style=style))
        events = list(band.take(2500))
        lines = [event.start_ticks for event in events if isinstance(event, Bar)]
        kicks = {hit.start_ticks for hit in hits(events, band) if hit.pitch == 36}
        near = band.ticks_per_quarter // 8

        on, beside = (
            sum(any(abs(kick - line - offset) <= near for kick in kicks) for line in lines) / len(lines)
            for offset in (0, 2 * near)
        )
        assert on > 0.7 > 0.3 > beside
