"""What the server refuses: a line for the client, with the status of the answer."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import printable
from generator.serving.metrics import Metrics

RETRY_SECONDS = 1
"""After so long a client who was told that the server is full may ask again."""
LONGEST_LINE = 500
"""In characters: a line may quote what a request has, which may be anything."""


class Refused(CarouselError):
    """A request that is refused for another reason than its input: `status` is that of the answer, and `reason` a word
    for programs."""

    def __init__(self, status: int, reason: str, *parts: str) -> None:
        super().__init__(*parts)
        self.status, self.reason = status, reason


def answer_of(error: CarouselError, metrics: Metrics) -> JSONResponse:
    """The answer to a request that is refused, which is counted: an object as that of OpenAI's API."""
    refused = error if isinstance(error, Refused) else Refused(422, "input", *error.args)
    metrics.refusals.labels(refused.reason).inc()
    line = printable(str(refused))[:LONGEST_LINE]
    headers = {"Retry-After": str(RETRY_SECONDS)} if refused.status == 429 else None
    return JSONResponse({"error": {"message": line, "type": refused.reason}}, refused.status, headers)
