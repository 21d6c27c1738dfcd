"""Models too small to be good, made in a moment: random weights behind real tokenizers."""

from __future__ import annotations

from pathlib import Path

import torch

from generator import tokenizers
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import LanguageModel, ModelConfig
from generator.music.score import Note, Score, Tempo, TimeSignature, Voice
from generator.tokenizers.base import Tokenizer

CHORDS = [(67, 62, 59, 43), (69, 62, 57, 50), (71, 62, 55, 43), (72, 64, 55, 48)] * 4
VOICES = tuple(Voice(name, 19) for name in ("Soprano", "Alto", "Tenor", "Bass"))
TUNE = Score(
    12,
    VOICES,
    tuple(
        Note(12 * beat, 12, pitch, voice=voice)
        for beat, chord in enumerate(CHORDS)
        for voice, pitch in enumerate(chord)
    ),
    (TimeSignature(0, 4, 4),),
    (Tempo(0, 96.0),),
)
TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n"


def checkpoint(tokenizer: Tokenizer) -> Checkpoint:
    """Random weights, the same each time."""
    torch.manual_seed(1)
    model = LanguageModel(ModelConfig(tokenizer.vocab_size, 16, 32, 1)).eval()
    return Checkpoint.of(model, tokenizer, "A model of nothing, for *tests*.")


def music() -> Checkpoint:
    """Speaks four-part music."""
    return checkpoint(tokenizers.fit("score", [TUNE]))


def text() -> Checkpoint:
    """Speaks text."""
    return checkpoint(tokenizers.fit("char", [TEXT]))


def save(folder: Path) -> Path:
    """One checkpoint of each medium in a folder."""
    music().save(folder / "tune")
    text().save(folder / "words")
    return folder
