"""Which model explains a piece best: what is paid for, what is shown, and whether the right collection wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator import evaluate
from generator.analysis.rank import PRICES, rank
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.foundation.recipes import TrainingOptions
from generator.music import midi
from generator.music.score import Note, Score, TimeSignature, Voice
from generator.streaming.engine import Model, load
from generator.tokenizers.char import UNKNOWN
from generator.train import train
from tests.conftest import ROOT, four_voices, tiny

CHECKPOINTS = ROOT / "checkpoints"


def melody(bars: int) -> Score:
    notes = tuple(Note(beat * 480, 480, 60 + (0, 2, 4, 5, 7)[beat % 5]) for beat in range(4 * bars))
    return Score(480, (Voice("Melody", 73),), notes, (TimeSignature(0, 4, 4),))


def test_notes_that_a_vocabulary_has_not_are_paid_for() -> None:
    model = Model(tiny("score"))
    inside, outside = four_voices(), Note(960, 480, 5, voice=3)
    plain = rank([inside], [("a", model)])
    more = rank([Score(480, inside.voices, (*inside.notes, outside), inside.time_signatures)], [("a", model)])
    assert (plain["ranking"][0]["missing_notes"], more["ranking"][0]["missing_notes"]) == (0, 1)
    nats = [found["ranking"][0]["nats_per_note"] * found["notes"] for found in (plain, more)]
    assert nats[0] == pytest.approx(model.score(inside).sum())
    assert nats[1] == pytest.approx(nats[0] + PRICES["music"])
    assert f"{PRICES['music']:.2f} nats for each note" in more["convention"]


def test_unknown_characters_are_paid_for() -> None:
    model = Model(tiny("char"))
    found = rank(["ab世ab"], [("a", model)])
    assert found["ranking"][0]["missing_characters"] == 1
    assert (model.tokenizer.encode("ab世ab") == UNKNOWN).sum() == 1
    nats = model.score("ab世ab").sum() + PRICES["text"]
    assert found["ranking"][0]["nats_per_character"] == pytest.approx(nats / 5)


def test_places_of_music_are_where_its_notes_are() -> None:
    """Beats are those of the metre: here eighths."""
    names = {(0, "C4"), (240, "D4"), (480, "E4"), (720, "F4"), (1200, "G4"), (1440, "A4"), (1680, "B4"), (2160, "C5")}
    pitches = dict(zip(("C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"), (60, 62, 64, 65, 67, 69, 71, 72), strict=True))
    notes = tuple(Note(start, 240, pitches[name]) for start, name in sorted(names))
    jig = Score(480, (Voice("Melody", 73),), notes, (TimeSignature(0, 6, 8),))
    found = rank([jig], [("folk", load(CHECKPOINTS / "folk"))])
    places = [*found["least_expected"], *found["most_expected"]]
    assert {((6 * (place["bar"] - 1) + place["beat"] - 1) * 240, place["notes"]) for place in places} == names


def test_places_of_a_text_are_where_its_words_are() -> None:
    text = "ROMEO:\nO, she doth teach the torches to burn bright!\nIt seems xqzvkjwxqzjk the night\n"
    lines = rank([text, text], [("shakespeare", load(CHECKPOINTS / "shakespeare"))])
    first = lines["least_expected"][0]
    assert (first["line"], first["piece"]) in ((3, 1), (3, 2))
    assert "xq" in first["text"] and text.split("\n")[2][first["column"] - 1 :].startswith(first["text"])
    least, most = ([place["nats_per_character"] for place in lines[key]] for key in ("least_expected", "most_expected"))
    assert least == sorted(least, reverse=True) and most == sorted(most) and most[-1] < least[-1]


def test_a_performance_has_seconds() -> None:
    found = rank([melody(4)], [("a", Model(tiny("performance")))])
    assert found["least_expected"]
    assert all(set(place) == {"second", "notes", "nats_per_note"} for place in found["least_expected"])


def ranked(capsys: pytest.CaptureFixture[str], *arguments: Path) -> dict[str, Any]:
    assert evaluate.main(["--rank", *map(str, arguments)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_ranks_what_applies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    midi.write(four_voices(), tmp_path / "chorale.mid")
    shipped = [CHECKPOINTS / name for name in ("shakespeare", "folk", "bach")]
    found = ranked(capsys, tmp_path / "chorale.mid", *shipped, tmp_path)
    assert found["best"] == str(CHECKPOINTS / "bach")
    assert [row["checkpoint"] for row in found["ranking"]] == [str(CHECKPOINTS / name) for name in ("bach", "folk")]
    reasons = {row["checkpoint"]: row["reason"] for row in found["not_applicable"]}
    assert "speaks text" in reasons[str(CHECKPOINTS / "shakespeare")] and "config.json" in reasons[str(tmp_path)]
    assert (found["notes"], found["pieces"], found["medium"]) == (len(four_voices().notes), 1, "music")
    (tmp_path / "a.abc").write_text(
        "X:1\nT:One\nM:4/4\nL:1/4\nK:D\nDEFG|ABcd|\n\nX:2\nT:Two\nM:4/4\nL:1/4\nK:G\nGABc|dgfg|\n"
    )
    found = ranked(capsys, tmp_path / "a.abc", *shipped)
    assert (found["best"], found["pieces"]) == (str(CHECKPOINTS / "folk"), 2)
    assert {place["piece"] for place in found["most_expected"]} <= {1, 2}
    odd = tmp_path / "♭ \udc80.mid"
    odd.write_bytes((tmp_path / "chorale.mid").read_bytes())
    assert ranked(capsys, odd, *shipped)["best"] == str(CHECKPOINTS / "bach")
    (tmp_path / "a.txt").write_text("世界")
    found = ranked(capsys, tmp_path / "a.txt", *shipped)
    assert (found["best"], found["ranking"], len(found["not_applicable"])) == (None, [], 3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_held_out_music_is_known_by_its_collection() -> None:
    models = [(name, load(CHECKPOINTS / name)) for name in ("bach", "folk")]
    for name, corpus in (("bach", "bach-chorales"), ("folk", "folk-tunes")):
        pieces = [piece.content for split, piece in open_corpus(corpus).read() if split != "train"]
        right = sum(rank([piece], models)["best"] == name for piece in pieces)
        print(f"{corpus}: {right} of {len(pieces)}")
        assert right >= 0.95 * len(pieces)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_held_out_text_is_known_by_its_collection(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verse against Python: a second model learns this project's code in a few seconds."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "code").mkdir()
    sources = sorted((ROOT / "generator").rglob("*.py"))
    for index, path in enumerate(sources):
        (tmp_path / "code" / f"{index}.txt").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    code = prepare(open_corpus(tmp_path / "code"), progress=False)
    options = TrainingOptions(hidden_size=128, embedding_dim=32, steps=300)
    second = train(code, tmp_path / "second", options)
    models = [("verse", load(CHECKPOINTS / "shakespeare")), ("code", Model(second))]
    verse = "".join(str(piece.content) for piece in open_corpus("tinyshakespeare").pieces("validation"))
    held_out = code.split("validation")
    programs = "".join(code.tokenizer.decode(held_out[index]) for index in range(len(held_out)))
    for name, text in (("verse", verse), ("code", programs)):
        parts = [text[left : left + 500] for left in range(0, min(len(text), 50_000) - 500, 500)]
        right = sum(rank([part], models)["best"] == name for part in parts)
        print(f"{name}: {right} of {len(parts)}")
        assert right >= 0.95 * len(parts)
