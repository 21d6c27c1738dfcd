r"""Serve the streams of checkpoints over HTTP; docs/serving.md shows how they are asked for.

    python -m generator.serve checkpoints/bach checkpoints/shakespeare --port 8000

Clients hold the states of their streams, which are signed with the keys in CAROUSEL_KEYS, separated by commas. Servers
with the same last key serve each other's clients; keys before it are accepted too, so that keys can be changed.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import gc
import importlib.util
import socket
from pathlib import Path

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell


def serve(given: argparse.Namespace) -> None:
    """Serve until Ctrl-C.

    Raises:
        CarouselError: the extra is not installed, a checkpoint cannot be loaded, a key is too short, or the address
            cannot be had.
    """
    if missing := [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]:
        raise CarouselError(f"the server needs {missing[0]}; install Carousel with its extra [serve]")
    import uvicorn  # with fastapi an extra, as what follows needs it

    from generator.serving.application import application
    from generator.serving.states import LONGEST, keys_given
    from generator.streaming.engine import load

    models = [load(folder) for folder in given.checkpoint]
    for model in models:
        model.stream().pull(1)  # compiles and prepares
    app = application(
        models, keys_given(), streams=given.streams, streams_each=given.streams_each, seconds=3600 * given.hours
    )
    try:
        listener = socket.create_server((given.host, given.port))
    except OSError as error:
        raise CarouselError(f"{given.host}:{given.port}: {error.strerror or error}; choose another --port") from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a body waits 40 ms behind its headers
    config = uvicorn.Config(
        app, log_level="warning", h11_max_incomplete_event_size=2 * LONGEST + 2**14, timeout_graceful_shutdown=5
    )
    gc.collect()
    gc.freeze()  # what is loaded for good is not searched for garbage, which takes 0.3 s
    tell(
        f"serving {', '.join(model.checkpoint.name for model in models)} at http://{given.host}:{listener.getsockname()[1]}"
    )
    uvicorn.Server(config).run(sockets=[listener])


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("serve", __doc__)
    parser.add_argument("checkpoint", type=Path, nargs="+", metavar="CHECKPOINT", help="a folder, or a name like bach")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free (default: 8000)")
    parser.add_argument(
        "--streams", type=command.positive, default=256, metavar="N", help="requests in play, at most (default: 256)"
    )
    parser.add_argument(
        "--streams-each", type=command.positive, default=32, metavar="N", help="of one client (default: 32)"
    )
    parser.add_argument(
        "--hours", type=command.positive, default=720, metavar="N", help="how long a state is valid (default: 720)"
    )
    return command.run(parser, serve, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
