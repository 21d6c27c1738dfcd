"""What tokenizers know before each token, which units are compared with: of short pieces, every value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from generator.music.score import Note, Pedal, Score, TimeSignature, Voice
from generator.streaming.engine import Model
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import TICKS_PER_QUARTER

PIECES: dict[str, tuple[Any, Score]] = {
    "performance": (
        PerformanceTokenizer,
        Score(
            480,
            (Voice("Piano"),),
            (Note(0, 240, 69, 64), Note(0, 480, 57, 64), Note(1440, 240, 76, 90)),
            pedals=(Pedal(480, True), Pedal(960, False)),
        ),
    ),
    "score": (
        ScoreTokenizer,
        Score(
            12,
            (Voice("A"), Voice("B")),
            (Note(0, 36, 60), Note(0, 18, 48, voice=1), Note(18, 6, 55, voice=1), Note(36, 12, 67)),
            (TimeSignature(0, 3, 4),),
        ),
    ),
    "frames": (FramesTokenizer, Score(2, (Voice("Piano"),), (Note(0, 3, 60), Note(1, 1, 64), Note(2, 1, 67)))),
    "drums": (
        DrumsTokenizer,
        Score(
            24,
            (Voice("Drums", drum=True),),
            (Note(0, 6, 36, 100), Note(0, 6, 42, 60), Note(23, 6, 42, 80), Note(54, 6, 38, 110)),
            style="funk",
        ),
    ),
}
"""Tokenizers, each with a piece of a few tokens."""

# fmt: off
LABELS = {
    "performance": {
        "time since the last onset": "100 100 100 0 0 25 25 50 50 50 100 100 150 150 0 25 25",
        "onsets in the last second": "0 0 0 1 2 2 2 2 2 2 0 0 0 0 1 1 1",
        "onsets in the last quarter of a second": "0 0 0 1 2 0 0 0 0 0 0 0 0 0 1 0 0",
        "two notes began together": "00001000000000000",
        "notes that sound": "0 0 0 1 2 2 1 1 0 0 0 0 0 0 1 1 0",
        "nothing sounds": "11100000111111001",
        "how long the longest note sounds": "0 0 0 0 0 25 25 50 0 0 0 0 0 0 0 25 0",
        "the highest note that sounds": "0 0 0 42 54 54 42 42 42 42 42 42 42 42 61 61 61",
        "the lowest note that sounds": "0 0 0 42 42 42 42 42 42 42 42 42 42 42 61 61 61",
        "the pedal is down": "00000000011000000",
        "tokens since the pedal moved": "1 2 3 4 5 6 7 8 9 0 1 0 1 2 3 4 5",
        "loudness": "0 0 64 64 64 64 64 64 64 64 64 64 64 88 88 88 88",
        "height of the last note": "0 0 0 57 69 69 69 69 69 69 69 69 69 69 76 76 76",
        "height of the note before": "0 0 0 0 57 57 57 57 57 57 57 57 57 57 69 69 69",
        "the last note is below middle C": "11110000000000000",
        "the last note is the tonic": "10011111111111000",
        "the last note is the fifth": "00000000000000111",
        "the key is minor": "01111111111111111",
        "a note began": "00011000000000100",
        "a note ended": "00000010100000001",
        "time passed": "00000101001010010",
        "the loudness was read": "00100000000001000",
        "the pedal moved": "00000000010100000",
        "length of the last wait": "0 0 0 0 0 25 25 25 25 25 50 50 50 50 50 25 25",
        "seconds since the piece began": "0 0 0 0 0 0.25 0.25 0.5 0.5 0.5 1 1 1.5 1.5 1.5 1.75 1.75",
        "seconds until the piece ends (looks ahead)": "1.75 1.75 1.75 1.75 1.75 1.5 1.5 1.25 1.25 1.25 "
        "0.75 0.75 0.25 0.25 0.25 0 0",
    },
    "score": {
        "position in the bar": "0 0 0 0 0 0 0 0 0 0 0 0.5 0.5 0.5 0.5 0 0 0 0 0",
        "on the downbeat": "00001111111000001111",
        "between the beats": "00000000000111100000",
        "on beat 1 or just after": "11111111111000011111",
        "on beat 2 or just after": "00000000000111100000",
        "on beat 3 or just after": "00000000000000000000",
        "bars since the piece began": "0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 2 2 2 2 2",
        "notes since the piece began": "0 0 0 0 0 0 0 1 1 1 2 2 2 2 3 3 3 3 3 4",
        "notes since the bar began": "0 0 0 0 0 0 0 1 1 1 2 2 2 2 3 0 0 0 0 1",
        "bars until the piece ends (looks ahead)": "2 2 2 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 0",
        "a bar line comes next (looks ahead)": "00100000000000100000",
        "a position was read": "00001000000100001000",
        "a voice was read": "00000100100010000100",
        "a pitch was read": "00000010010001000010",
        "length of the last note": "0 0 0 0 0 0 0 36 36 36 18 18 18 18 6 6 6 6 6 12",
        "notes that sound": "0 0 0 0 0 0 0 1 1 1 2 1 1 1 2 0 0 0 0 1",
        "three beats in a bar": "11111111111111111111",
        "the beat is an eighth": "00000000000000000000",
        "the key is minor": "00000000000000000000",
        "height of the last note": "0 0 0 0 0 0 60 60 60 48 48 48 48 55 55 55 55 55 67 67",
        "semitones above the tonic": "0 0 0 0 0 0 7 7 7 7 7 7 7 2 2 2 2 2 2 2",
        "the last note is the tonic": "11111100000000000000",
        "the last note is the third": "00000000000000000000",
        "the last note is the fifth": "00000011111110000000",
        "the last note is the leading tone": "00000000000000000000",
        "A is being written": "00000111000000000111",
        "A has the tonic": "00000000000000000000",
        "A has the fifth": "00000001111111111110",
        "height of A": "-1 -1 -1 -1 -1 -1 -1 60 60 60 60 60 60 60 60 60 60 60 60 67",
        "A rose": "00000000000000000001",
        "B is being written": "00000000111011100000",
        "B has the tonic": "00000000000000000000",
        "B has the fifth": "00000000001111000000",
        "height of B": "-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 48 48 48 48 55 55 55 55 55 55",
        "B rose": "00000000000000111111",
    },
    "frames": {
        "a frame begins": "0001001001",
        "notes of the frame so far": "0 0 1 0 1 2 0 1 2 0",
        "notes of the frame before": "0 0 0 1 1 1 2 2 2 2",
        "notes held so far": "0 0 0 0 0 1 0 0 1 0",
        "how long the longest note sounds": "0 0 0 1 1 1 2 2 2 3",
        "height of the last note": "44 44 39 39 43 39 39 46 39 39",
        "frames since the piece began": "0 0 0 1 1 1 2 2 2 3",
        "even frame": "1110001110",
        "every fourth frame": "1110000000",
        "semitones of the transposition": "0 0 0 0 0 0 0 0 0 0",
        "frames until the piece ends (looks ahead)": "3 3 3 2 2 2 1 1 1 0",
    },
    "drums": {
        "position in the bar": "0 0 0 0 0 0 0 0 0 0 0 4 4 4 4 9 9 9 9",
        "on a beat": "1111111111111110000",
        "between the eighths": "0000000000000001111",
        "bars since the piece began": "0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "hits since the piece began": "0 0 0 0 0 0 0 1 1 1 2 2 2 2 3 3 3 3 4",
        "hits since the bar began": "0 0 0 0 0 0 0 1 1 1 2 2 2 2 3 3 3 3 4",
        "hits at this position": "0 0 0 0 0 0 0 1 1 1 2 0 0 0 1 0 0 0 1",
        "loudness of the last hit": "0 0 0 0 0 0 0 100 100 100 60 60 60 60 76 76 76 76 108",
        "how late the last hit is": "0 0 0 0 0 0 0 0 0 0 0 0 -4 -4 -4 -4 0 0 0",
        "a position was read": "0000100000010001000",
        "an offset was read": "0000010010001000100",
        "a drum was read": "0000001001000100010",
        "bars until the piece ends (looks ahead)": "1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "the last hit is bass drum": "0000001110000000000",
        "the last hit is snare": "0000000000000000011",
        "the last hit is closed hi-hat": "0000000001111111100",
    },
}
"""For each of these tokens, what is known before it: whether something holds, or numbers."""
# fmt: on


def as_text(values: npt.NDArray[Any]) -> str:
    if values.dtype == np.bool_:
        return "".join("01"[holds] for holds in values.astype(int))
    return " ".join(f"{value:.6g}" for value in values)


@pytest.mark.parametrize("kind", PIECES)
def test_labels_of_a_short_piece(kind: str) -> None:
    tokenizer, piece = PIECES[kind]
    fitted = tokenizer.fit([piece])
    found = fitted.labels(fitted.encode(piece))
    assert {name: as_text(values) for name, values in found.items()} == LABELS[kind]


def test_labels_are_of_the_moment_before_a_token(fake: Model) -> None:
    """What is cut off later changes none of them, unless their names say that they look ahead."""
    stream = fake.stream(seed=3)
    stream.pull(240)
    tokens = np.array(stream.tokens(), np.uint16)
    whole, part = fake.tokenizer.labels(tokens), fake.tokenizer.labels(tokens[:150])
    assert len(whole) > 8
    for name, label in part.items():
        assert label.shape == (150,) and label.dtype in (np.bool_, np.float64), name
        if "looks ahead" not in name:
            assert np.array_equal(label, whole[name][:150]), name


def test_labels_of_a_score_are_what_its_decoder_says(music: Model) -> None:
    stream = music.stream(seed=5)
    stream.pull(300)
    tokens, decoder = stream.tokens(), music.tokenizer.decoder()
    found = music.tokenizer.labels(np.array(tokens, np.uint16))
    for row, token in enumerate(tokens):
        memory = decoder.state()["memory"]
        if memory["bar_ticks"]:
            here = (memory["now"] - memory["bar_start"]) / memory["bar_ticks"]
            assert found["position in the bar"][row] == pytest.approx(here)
            beat = 4 * TICKS_PER_QUARTER // music.tokenizer.table.metres[memory["metre"]][1]
            assert found["between the beats"][row] == ((memory["now"] - memory["bar_start"]) % beat > 0)
        assert found["notes that sound"][row] == len(decoder.state()["sounding"])
        decoder.feed(token)


def test_labels_of_a_text() -> None:
    text = "\n\nROMEO:\nAy me! (So sad.)\nand so\n\nJULIET:\nO Romeo?\n"
    found = CharTokenizer.fit([text]).labels(CharTokenizer.fit([text]).encode(text)[:-1])

    def where(name: str) -> str:
        return "".join(character for character, holds in zip(text, found[name], strict=True) if holds)

    assert where("inside brackets") == "So sad.)"
    assert where("in the heading of a speech (looks ahead)") == "ROMEO:JULIET:"
    assert where("ROMEO speaks") == "Ay me! (So sad.)\nand so\n\n"
    assert where("JULIET speaks") == "O Romeo?\n"
    assert where("in a speech in prose (looks ahead)") == where("ROMEO speaks")
    assert found["characters since the line began"][:14].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]
