"""Server-Sent Events: a stream page after page, as fast as the client reads it, or as `rate` says.

The id of an event is the state after its page, which begins with the number of the next token. So `Last-Event-ID`
alone, which browsers send when they connect again, lets any server go on exactly there, and draws nothing again.
Nothing is drawn before the connection has taken the page before; a client that reads nothing is left alone with what
its connection holds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

from fastapi.responses import Response, StreamingResponse

from generator.serving.messages import Follow, said
from generator.serving.service import Service
from generator.streaming.stream import Stream

KEEP_ALIVE_SECONDS = 15.0
"""After so long without a page a comment is sent, so that nothing in between takes the connection for dead."""
COMMENT = b": still here\n\n"
MOST_AT_ONCE = 65_536
"""The most tokens of one response. A client that wants more connects again, as browsers do."""


async def follow(service: Service, asked: Follow) -> Response:
    """The events of a stream; 204, which tells browsers to come no more, where it ends already."""
    stream = await service.quick(lambda: service.stream(asked.state))
    begun, since = stream.position, monotonic()
    until = begun + MOST_AT_ONCE if asked.until is None else min(asked.until, begun + MOST_AT_ONCE)

    def left() -> int:
        return 0 if stream.ended else max(0, until - stream.position)

    async def next_page() -> bytes | None:
        if asked.rate is not None:
            await asyncio.sleep(since + (stream.position - begun) / asked.rate - monotonic())
        return await page(service, stream, min(asked.page, left())) if left() else None

    return event_stream(next_page) if left() else Response(status_code=204)


async def page(service: Service, stream: Stream, tokens: int) -> bytes:
    """The next tokens of a stream as an event."""
    events = await service.stepping.draw(stream, tokens)
    found = await service.quick(lambda: service.state(stream))
    state = found.pop("state")
    data = json.dumps(found | said(stream.engine.tokenizer.medium, events))
    return f"id: {state}\ndata: {data}\n\n".encode()


def event_stream(next_page: Callable[[], Awaitable[bytes | None]]) -> StreamingResponse:
    """A response that sends pages until there is none."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_kept_alive(next_page), media_type="text/event-stream", headers=headers)


async def _kept_alive(next_page: Callable[[], Awaitable[bytes | None]]) -> AsyncIterator[bytes]:
    while True:
        coming = asyncio.ensure_future(next_page())
        try:
            while not (await asyncio.wait({coming}, timeout=KEEP_ALIVE_SECONDS))[0]:
                yield COMMENT
        finally:
            coming.cancel()
        found = coming.result()
        if found is None:
            return
        yield found
