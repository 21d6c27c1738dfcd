"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The bounds of the histogram, in seconds."""


class Metrics:
    """The counts of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tokens = Counter("carousel_tokens", "Tokens drawn.", ["checkpoint"], registry=self.registry)
        self.playing = Gauge("carousel_streams_in_play", "Requests that are being answered.", registry=self.registry)
        self.refusals = Counter("carousel_refusals", "Requests refused.", ["reason"], registry=self.registry)
        self.waits = Histogram(
            "carousel_wait_seconds",
            "From when tokens are wanted until the first of them are drawn.",
            buckets=WAITS,
            registry=self.registry,
        )
