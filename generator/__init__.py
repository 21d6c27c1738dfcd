"""Carousel: endless music and text from a stateful LSTM language model, live on a laptop's CPU.

```python
import generator

lm = generator.load("bach")
stream = lm.stream(seed=7, temperature=0.9, top_p=0.95)
for event in stream.take(256):
    print(event)
generator.write(stream.history(), "out.mid")
```

`load` gives a `Model`, which starts streams. A `Stream` yields events: of music `Note`, `Bar`, `TimeSignature`,
`Tempo`, `Pedal` and `PieceEnd`, of text single characters. A `Band` is a stream with a drummer beside it. An `Engine`
advances many streams together. A `Snapshot` is a moment of a stream, which can be saved and resumed. A `Trace` is what
its cells and gates did. `read` and `write` turn files into a `Score` and back; `lead_sheet` keeps of a score the
melody, with chord symbols. Whatever is wrong with what they are given raises a `CarouselError`.
"""

import importlib
import typing

__version__ = "0.1.0"
__all__ = [
    "Band",
    "Bar",
    "CarouselError",
    "Engine",
    "Model",
    "Note",
    "Pedal",
    "PieceEnd",
    "SamplingOptions",
    "Score",
    "Snapshot",
    "Stream",
    "Tempo",
    "TimeSignature",
    "Trace",
    "Voice",
    "lead_sheet",
    "load",
    "read",
    "write",
]

if typing.TYPE_CHECKING:
    from generator.foundation.errors import CarouselError
    from generator.foundation.options import SamplingOptions
    from generator.model.trace import Trace
    from generator.music.files import read
    from generator.music.lead_sheet import lead_sheet
    from generator.music.score import Bar, Note, Pedal, PieceEnd, Score, Tempo, TimeSignature, Voice
    from generator.sinks import write
    from generator.streaming.band import Band
    from generator.streaming.engine import Engine, Model, load
    from generator.streaming.snapshot import Snapshot
    from generator.streaming.stream import Stream
else:
    # Each name is imported when it is first asked for (PEP 562): numba takes a second, and not every command needs it.
    _HOMES = {
        "Band": "streaming.band",
        "Bar": "music.score",
        "CarouselError": "foundation.errors",
        "Engine": "streaming.engine",
        "Model": "streaming.engine",
        "Note": "music.score",
        "Pedal": "music.score",
        "PieceEnd": "music.score",
        "SamplingOptions": "foundation.options",
        "Score": "music.score",
        "Snapshot": "streaming.snapshot",
        "Stream": "streaming.stream",
        "Tempo": "music.score",
        "TimeSignature": "music.score",
        "Trace": "model.trace",
        "Voice": "music.score",
        "lead_sheet": "music.lead_sheet",
        "load": "streaming.engine",
        "read": "music.files",
        "write": "sinks",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
