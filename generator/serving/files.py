"""A stream as a file: drawn again from its beginning, and written. What takes long is made in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from anyio import to_thread
from fastapi.responses import Response, StreamingResponse

from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.serving.messages import File
from generator.serving.service import Service
from generator.sinks import write
from generator.web.maker import Maker

TAKE = "take"
MEDIA_TYPES = {
    "mid": "audio/midi",
    "wav": "audio/wav",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "txt": "text/plain; charset=utf-8",
    TAKE: "application/octet-stream",
}
PART_BYTES = 2**18


async def file(service: Service, asked: File) -> Response:
    """The file that a client asks for.

    Raises:
        CarouselError: the state is refused, or the stream cannot be written as such a file.
    """
    kind, name = MEDIA_TYPES[asked.format], f"carousel.{asked.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if asked.format == TAKE:
        data = await service.quick(lambda: service.past(asked.state).snapshot().to_bytes())
        return Response(data, media_type=kind, headers=headers)
    piece = await service.slow(lambda: service.past(asked.state).history())
    with TemporaryDirectory(prefix="carousel-") as folder:
        path = Path(folder) / name
        try:
            if isinstance(piece, str) or asked.format == "mid":
                await service.slow(partial(write, piece, path))
            else:
                async with service.making:
                    await _made(piece, path)
        except CarouselError as error:
            raise CarouselError(str(error).removeprefix(f"{path}: ").replace(str(path), name)) from None
        whole = path.open("rb")
    return StreamingResponse(_parts(whole), media_type=kind, headers=headers)


async def _made(piece: Score, path: Path) -> None:
    """Make the file in a process, which ends with the request."""
    maker = Maker()
    try:
        shares = maker.make(piece, path)
        while await to_thread.run_sync(next, shares, None, abandon_on_cancel=True) is not None:
            pass
    finally:
        maker.end()


async def _parts(whole: IO[bytes]) -> AsyncIterator[bytes]:
    with whole:
        while part := await to_thread.run_sync(whole.read, PART_BYTES):
            yield part
