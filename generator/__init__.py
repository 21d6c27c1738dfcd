"""Carousel: endless music and text from a stateful LSTM language model, live on a laptop's CPU.

import generator

lm = generator.load("checkpoints/bach")
stream = lm.stream(seed=7, temperature=0.9, top_p=0.95)
for event in stream.take(256):
    print(event)
"""

from generator.errors import CarouselError
from generator.options import SamplingOptions
from generator.sinks import write
from generator.streaming.engine import Engine, Model, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream

__all__ = ["CarouselError", "Engine", "Model", "SamplingOptions", "Snapshot", "Stream", "load", "write"]
