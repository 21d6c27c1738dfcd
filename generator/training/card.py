"""The model card: a checkpoint's data, its scores, the command that made it, a sample that it generated, and what its
units follow."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from generator.analysis.units import AUC, Units
from generator.corpora.base import Facts
from generator.foundation.options import SamplingOptions
from generator.model.checkpoint import Checkpoint
from generator.music.names import drum_name
from generator.music.score import Score, pitch_name
from generator.streaming.engine import Model


def manner(kind: str) -> tuple[int, dict[str, Any]]:
    """The length in tokens of the card's sample for a kind of tokenizer, and its sampling options.

    A performance has several tokens a note, and at a low temperature it often gets stuck in a trill.
    """
    return (2000, {"temperature": 1.0, "top_p": 0.97}) if kind == "performance" else (400, {"temperature": 0.8})


def sample(model: Model, tokens: int, seed: int = 7) -> str:
    """A sample of `tokens` tokens as text, whatever the checkpoint's defaults; music is written by `notes_as_text`."""
    _, options = manner(model.tokenizer.kind)
    whole = asdict(SamplingOptions(seed=seed, **options))
    piece = model.tokenizer.collect(model.stream(**whole).pull(tokens))
    return piece if isinstance(piece, str) else notes_as_text(piece)


def notes_as_text(score: Score) -> str:
    """The names of notes with octaves (60 is C4), or of drums; a line for each voice that has notes. `|` is
    a bar line."""
    lines = []
    bars = [bar.start_ticks for bar in score.bars[1:]]
    for index, voice in enumerate(score.voices):
        words: list[str] = []
        waiting = list(bars)
        for note in score.notes:
            if note.voice != index:
                continue
            while waiting and waiting[0] <= note.start_ticks:
                waiting.pop(0)
                words.append("|")
            words.append(drum_name(note.pitch).replace(" ", "-") if voice.drum else pitch_name(note.pitch))
        if words:
            lines.append(f"{voice.name}: {' '.join(words)}")
    return "\n".join(lines)


def made_by(card: str) -> tuple[str, str]:
    """The commands in a card, and its sentence about the length of their run; both empty if the card has none."""
    found = re.search(r"^\*\*Made by\*\*\n\n```\n(.*?)\n```\n\n(.*?)\n\n\*\*Scores", card, re.S | re.M)
    return (found[1], found[2]) if found else ("", "")


def with_section(card: str, heading: str, text: str) -> str:
    """The card with a section before its sample, in place of the one that has this heading if there is one."""
    card = re.sub(rf"^\*\*{re.escape(heading)}\.\*\* .*?\n\n(?=\*\*|\Z)", "", card, flags=re.S | re.M)
    before, sample, after = card.partition("**A sample**")
    return f"{before.rstrip()}\n\n**{heading}.** {text}\n\n{sample}{after}"


FOLLOWED = "**What its units follow**"
EXPLAINED = """\
For each thing that the tokenizer knows before a token, the best unit, as layer.unit, if it is confirmed: its cell (c)
or h against it. The score is the AUC of what holds or does not (0.5 by chance), Spearman's correlation ρ of numbers
(0 by chance). A unit marked ↓ falls with it. The last column is the best of all units for the same label, shifted in
time. By `evaluate --units --keep`.
"""


def with_units(card: str, units: Units) -> str:
    """A card with a section on what its units follow, at its end, in the place of one that it has."""
    lines = [
        card.partition(f"\n{FOLLOWED}")[0].rstrip() + "\n",
        f"{FOLLOWED} (found on {units.found_on}; confirmed on {units.confirmed_on})\n",
        EXPLAINED,
        "| what | unit | score | found | confirmed | shifted |",
        "|---|---|---|---|---|---|",
    ]
    confirmed = [row for row in units.best() if row.confirmed > row.baseline]
    for row in sorted(confirmed, key=lambda row: -row.strength):
        score = "AUC" if row.measure == AUC else "ρ"
        unit = f"{row.layer}.{row.unit} {'c' if row.part == 'cell' else 'h'}{' ↓' if row.falls else ''}"
        what = row.label.replace("\\", "\\\\").replace("|", "\\|")
        lines.append(f"| {what} | {unit} | {score} | {row.score:.3f} | {row.confirmed:.3f} | {row.baseline:.3f} |")
    layers = units.percentiles()
    lines += [
        "\nThe time constants of its cells, in tokens, -1 / mean(log f) of the forget gate f:\n",
        "| layer | " + " | ".join(layers[0]) + " |",
        "|---" * (1 + len(layers[0])) + "|",
        *(
            f"| {layer} | " + " | ".join(f"{value:g}" for value in row.values()) + " |"
            for layer, row in enumerate(layers)
        ),
    ]
    return "\n".join(lines) + "\n"


def write(checkpoint: Checkpoint, facts: Facts, scores: list[dict[str, Any]], command: str, trained: str) -> str:
    """The card as Markdown.

    Args:
        scores: what `evaluate` has returned for each split.
        command: the command line that made the checkpoint.
        trained: a sentence about the length of the run.
    """
    config = checkpoint.config
    parameters = sum(value.size for value in checkpoint.weights.values())
    if config.tied:
        parameters -= checkpoint.weights["output.weight"].size
    styles = checkpoint.tokenizer.styles
    tokens, options = manner(checkpoint.tokenizer.kind)
    drawn = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in options.items())
    known_styles = f" Styles that `--style` can ask for: {', '.join(styles)}." if styles else ""
    return f"""# {checkpoint.name}

A stateful LSTM language model by Carousel: {config.num_layers} × {config.hidden_size} units, embedding
{config.embedding_dim}, vocabulary {config.vocab_size} ({checkpoint.tokenizer.kind}), {parameters:,} parameters.

**Data.** {facts.title}. Source: {facts.source}. Licence: {facts.licence}.{known_styles}

**Made by**

```
{command}
```

{trained}

**Scores**

```json
{json.dumps(scores, indent=2)}
```

**A sample** (seed 7, {drawn}, the first {tokens} tokens)

```
{sample(Model(checkpoint), tokens).strip()}
```
"""
