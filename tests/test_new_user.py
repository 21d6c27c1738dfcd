"""A folder as people have it: a hundred songs with drums in General MIDI, some of them broken, are trained on and
streamed by the two commands of the README, and what is said of them is right, line by line."""

from __future__ import annotations

import io
import random
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import mido
import pytest

from generator import prepare, sample, train
from generator.corpora import open_corpus
from generator.foundation.omissions import many
from tests.conftest import ROOT

TRACKS = (("Piano", 0, 0), ("Bass", 33, 1), ("Lead", 80, 2), ("Kit", 0, 9))
"""The name, program and channel of each."""
METRES = ((4, 4), (3, 4), (6, 8), (2, 4))
TICKS = (96, 480, 960)
BARS = 8
VELOCITY = 90


@dataclass
class Song:
    """A song, and what there is to say of it. Times are in twelfths of a quarter."""

    data: bytes
    metre: tuple[int, int]
    tempo: int
    bars: int
    bends: int
    notes: list[tuple[int, int, int, int]]
    """Track, start, duration and pitch of each."""

    @property
    def onsets(self) -> set[int]:
        return {start for _, start, _, _ in self.notes}

    @property
    def tokens(self) -> int:
        """Its metre and its tempo, its bar lines, its positions, three for each note, and its end."""
        return 2 + self.bars + len(self.onsets) + 3 * len(self.notes) + 1


def song(number: int, kind: int = 1) -> Song:
    """A song with a tempo, a metre, a resolution and tracks of its own, as a file of type 1 or 2. The tracks of type 2
    follow each other."""
    dice = random.Random(number)
    numerator, denominator = METRES[number % len(METRES)]
    bar, tempo, ticks = 48 * numerator // denominator, 60 + number % 100, TICKS[number % len(TICKS)]
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    signature = mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo)), signature]))
    notes, bends, length = [], 0, BARS * bar
    for at, (name, program, channel) in enumerate(TRACKS):
        if name == "Lead" and number % 3 == 0:
            continue
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track.append(mido.Message("program_change", program=program, channel=channel))
        if number % 10 == 5 and name == "Lead":
            track += [mido.Message("pitchwheel", pitch=pitch, channel=channel) for pitch in (100, 0)]
            bends += 2
        step, events = (6 if name in ("Lead", "Kit") else 12), []
        for start in range(0, length, step):
            low, chord = {"Piano": (60, 3), "Bass": (36, 1), "Lead": (72, 1), "Kit": (36, 1)}[name]
            for pitch in range(low, low + 4 * chord, 4):
                pitch += 0 if name == "Kit" and start % bar == 0 else dice.randrange(4)
                notes.append((at, start + (length * (len(file.tracks) - 1) if kind == 2 else 0), step, pitch))
                events += [(start, "note_on", pitch), (start + step, "note_off", pitch)]
        now = 0
        for when, what, pitch in sorted(events):
            wait, now = (when - now) * ticks // 12, when
            track.append(mido.Message(what, note=pitch, velocity=VELOCITY, channel=channel, time=wait))
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    bars = BARS * (len(file.tracks) - 1) if kind == 2 else BARS
    return Song(buffer.getvalue(), (numerator, denominator), tempo, bars, bends, notes)


def silent() -> bytes:
    buffer = io.BytesIO()
    mido.MidiFile(tracks=[mido.MidiTrack([mido.Message("program_change", program=3)])]).save(file=buffer)
    return buffer.getvalue()


def fill(folder: Path, count: int) -> tuple[dict[str, Song], dict[str, str]]:
    """Write `count` files into a folder. Returns the songs that can be read, by file, and why the others cannot."""
    folder.mkdir()
    whole = song(1).data
    damaged = "a damaged MIDI file; take it out or fetch it again"
    broken = {
        "a copy.mid": (whole, ""),
        "b cut off.mid": (whole[: len(whole) // 2], damaged),
        "c cut off.mid": (whole[:20], damaged),
        "d empty.mid": (b"", "the file is empty; take it out or fetch it again"),
        "e page.mid": (b"<html>404</html>", "not a MIDI file; take it out or choose another"),
        "f silent.mid": (silent(), "a MIDI file with no notes; take it out"),
        "z copy.mid": (song(2).data, "the same file as song 02.mid; take one of them out"),
    }
    songs = {f"song {number:02}.mid": song(number, 2 if number == 9 else 1) for number in range(count - len(broken))}
    songs["a copy.mid"] = songs.pop("song 01.mid")
    reasons = {name: reason for name, (_, reason) in broken.items() if reason}
    reasons["song 01.mid"] = "the same file as a copy.mid; take one of them out"
    for name, (data, _) in broken.items():
        (folder / name).write_bytes(data)
    (folder / "song 01.mid").write_bytes(whole)
    for name, made in songs.items():
        (folder / name).write_bytes(made.data)
    assert len(list(folder.iterdir())) == count
    return dict(sorted(songs.items())), dict(sorted(reasons.items()))


def expected(songs: dict[str, Song], skipped: dict[str, str], held_out: set[str]) -> list[str]:
    """What has to be said of a folder, without the folders of the cache."""
    files = sorted({*songs, *skipped})
    copies = {name: re.sub("the same file as (.*);.*", r"\1", why) for name, why in skipped.items() if "same" in why}
    looked_at = [songs.get(copies.get(name, name)) for name in files[:: -(-len(files) // 20)]]
    train = [made for name, made in songs.items() if name not in held_out]
    others = [made for name, made in songs.items() if name in held_out]
    onsets = sum(len(made.notes) for made in looked_at if made)
    positions = {start % (48 * made.metre[0] // made.metre[1]) for made in train for start in made.onsets}
    pitches = [(pitch, TRACKS[at][2] == 9) for made in train for at, _, _, pitch in made.notes]
    low = min(pitch - (0 if drum else 6) for pitch, drum in pitches)
    high = max(pitch + (0 if drum else 5) for pitch, drum in pitches)
    tempos = {made.tempo for made in train}
    vocabulary = 1 + 24 + len({made.metre for made in train}) + len(tempos) + len(positions) + len(TRACKS)
    vocabulary += high - low + 1 + len({6, 12})
    changed = [made.tempo for made in others if made.tempo not in tempos]
    changes = [100 * abs(min(tempos, key=lambda known: (abs(known - tempo), known)) / tempo - 1) for tempo in changed]
    most = max(changes, default=0)
    lines = [
        f"songs: {len(files)} .mid from songs",
        "  licence     not stated: whoever owns the files decides",
        "  source      songs",
        f"  tokenizer   score, {vocabulary} tokens: {onsets} of {onsets} onsets lie on the grid of 12 a quarter",
        f"  train       {many(len(train), 'piece')}, {sum(made.tokens for made in train):,} tokens",
        f"  validation  {many(len(others), 'piece')}, {sum(made.tokens for made in others):,} tokens",
        f"  as tokens   {sum(len(made.notes) for made in songs.values()):,} notes",
        "              max onset error quarters 0, mean onset error quarters 0, max duration error quarters 0, "
        f"max tempo change percent {most:.4g}, max velocity error 0, mean velocity error 0",
        f"    {sum(made.bends for made in songs.values())} pitch bends left out",
    ]
    if changed:
        share = 100 * len(changed) / len(songs)
        lines.insert(
            len(lines) - (share > 10),
            f"    {'WARNING: ' * (share > 10)}{many(len(changed), 'tempo')} changed, by up to {most:.0f} % "
            f"({share:.0f} % of {len(songs)} tempos): this vocabulary has none nearer; "
            "try --tokenizer performance, if it is for the piano",
        )
    lines += [f"  skipped     {len(skipped)}, listed in", *(f"    {name}: {why}" for name, why in skipped.items())]
    return [*lines, "  kept in"]


def two_commands() -> list[list[str]]:
    """The arguments of the README's commands to learn from what is one's own, for a folder called `songs`."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Your own music")[2].partition("\n## ")[0]
    found = re.findall(r"^python -m generator\.(?:train|sample) (.*)$", section, re.MULTILINE)
    return [shlex.split(line.replace("novel.txt", "songs").replace("novel", "songs")) for line in found]


TINY = ["--steps", "3", "--hidden-size", "16", "--embedding-dim", "8", "--num-layers", "1", "--validations", "1"]


def test_a_folder_of_songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    songs, skipped = fill(tmp_path / "songs", 100)
    training, streaming = two_commands()
    assert train.main([*training, *TINY]) == 0
    said = capsys.readouterr().err.splitlines()
    held_out = {piece.name for piece in open_corpus("songs").pieces("validation")}
    wanted = expected(songs, skipped, held_out)
    start = said.index(wanted[0])
    assert [line.partition(str(tmp_path))[0].rstrip() for line in said[start:][: len(wanted)]] == wanted
    assert prepare.main(["songs"]) == 0
    assert capsys.readouterr().out.splitlines() == said[start:][: len(wanted)], "the same is said out of the cache"
    (listed,) = (tmp_path / "cache" / "skipped").iterdir()
    assert listed.read_text() == "".join(f"{name}: {why}\n" for name, why in skipped.items())
    assert sample.main([*streaming, "-o", "out.mid"]) == 0
    written = mido.MidiFile("out.mid")
    names = {track.name for track in written.tracks if any(message.type == "note_on" for message in track)}
    assert names <= {name for name, _, _ in TRACKS} and names
    assert sample.main(streaming) == 0
    played = re.findall(r"^ *\d+\.\d+ +\d+\.\d+  (\w+)  \S+$", capsys.readouterr().out, re.MULTILINE)
    assert set(played) == names
