"""Compressed sound, as another program hears it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from generator import sinks
from generator.music.score import Note, Score, Voice


@pytest.mark.parametrize(("suffix", "loss"), [(".flac", 0.0), (".ogg", 0.02)])
def test_compressed_sound_is_that_of_the_wav_file(tmp_path: Path, suffix: str, loss: float) -> None:
    """The same length, level and pitch, in a fraction of the bytes."""
    score, name = Score(480, (Voice("Piano"),), (Note(0, 1440, 69, 100),)), f"a{suffix}"
    sinks.write(score, tmp_path / "a.wav")
    sinks.write(score, tmp_path / name)
    (plain, rate), (heard, other) = soundfile.read(tmp_path / "a.wav"), soundfile.read(tmp_path / name)
    assert rate == other == 44100 and heard.shape == plain.shape
    assert np.abs(heard - plain).max() <= loss
    spectrum = np.abs(np.fft.rfft(heard[8820 : 8820 + 2**15].mean(axis=1), 2**19))
    peak = np.argmax(spectrum) * 44100 / 2**19
    assert peak / 440 == pytest.approx(round(peak / 440), rel=0.005)
    assert (tmp_path / name).stat().st_size < (tmp_path / "a.wav").stat().st_size / (2 if suffix == ".ogg" else 1)
