"""How many requests are answered at a time, and how much of the server each may hold.

Whoever would be too many is refused before anything is done, so that those who are admitted are served. The work for a
client that goes away is ended at once; one that takes nothing of its answer for a while is let go, and may come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from generator.foundation.errors import CarouselError
from generator.serving.metrics import Metrics
from generator.serving.refusals import Refused, answer_of

MOST_BODY = 2**21
"""The largest body of a request, in bytes."""
BODY_SECONDS, SEND_SECONDS = 30.0, 30.0
"""How long a body may take to arrive, and a part of an answer to be taken."""


class Places:
    """The places for requests that cost something: so many in all, and so many for each client."""

    def __init__(self, most: int, most_each: int) -> None:
        self.most, self.most_each = most, most_each
        self._taken: Counter[str] = Counter()

    @property
    def free(self) -> bool:
        """Whether there is a place."""
        return self._taken.total() < self.most

    def take(self, client: str) -> None:
        """Take a place.

        Raises:
            Refused: there is none, or the client has as many as it may have.
        """
        if self._taken[client] >= self.most_each:
            raise Refused(429, "busy_client", f"{self.most_each} of your requests are in play; let one end first")
        if not self.free:
            raise Refused(429, "busy", f"{self.most} streams are in play, which is all that this server takes")
        self._taken[client] += 1

    def leave(self, client: str) -> None:
        """Give the place back."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]


class Admission:
    """An ASGI application before another one."""

    def __init__(self, app: ASGIApp, places: Places, metrics: Metrics, costs: Callable[[Scope], bool]) -> None:
        """`costs` says of a request whether it needs a place."""
        self.app, self._places, self._metrics, self._costs = app, places, metrics, costs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._costs(scope):
            await self.app(scope, receive, send)
            return
        client = scope["client"][0] if scope.get("client") else ""
        try:
            self._places.take(client)
        except CarouselError as error:
            await answer_of(error, self._metrics)(scope, receive, send)
            return
        try:
            with self._metrics.playing.track_inprogress():
                await self._admitted(scope, receive, send)
        finally:
            self._places.leave(client)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for as long as its client is there."""
        try:
            with anyio.fail_after(BODY_SECONDS):
                body = await _body(receive)
        except (CarouselError, TimeoutError) as error:
            refused = Refused(408, "body", f"the body took longer than {BODY_SECONDS:g} s; send it again")
            answer = answer_of(error if isinstance(error, CarouselError) else refused, self._metrics)
            await answer(scope, receive, send)
            return
        if body is None:
            return
        message: Message = {"type": "http.request", "body": body}
        left = anyio.Event()

        async def read() -> Message:
            nonlocal message
            if message["type"] == "http.disconnect":
                await left.wait()
            given, message = message, {"type": "http.disconnect"}
            return given

        async def sent(part: Message) -> None:
            with anyio.move_on_after(SEND_SECONDS) as taking:
                await send(part)
            if taking.cancelled_caught:
                tasks.cancel_scope.cancel()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await self.app(scope, read, sent)
            tasks.cancel_scope.cancel()


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if the client has gone.

    Raises:
        Refused: it is too large.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            raise Refused(413, "body", f"a request has at most {MOST_BODY >> 20} MB; send less")
        if not message.get("more_body"):
            return bytes(body)
