"""Texts in the shape of OpenAI's completions, for clients that know that."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse, Response

from generator.foundation.errors import CarouselError
from generator.serving.messages import Completion
from generator.serving.service import Service
from generator.serving.sse import event_stream
from generator.streaming.jobs import CHUNK
from generator.tokenizers.base import Event


async def complete(service: Service, asked: Completion) -> Response:
    """The text that follows a prompt, whole or as events.

    Raises:
        CarouselError: the checkpoint is not there or generates music, the prompt cannot be read, or an option is out of
            its bounds.
    """
    if service.model(asked.model).tokenizer.medium != "text":
        raise CarouselError(f"{asked.model} generates music; POST /streams starts a stream of it")
    given = {"temperature": asked.temperature, "top_p": asked.top_p, "seed": asked.seed}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    options = {"seed": secrets.randbelow(2**31)} | options
    stream, omitted = await service.slow(lambda: service.begin(asked.model, asked.prompt or None, options))
    begun = stream.position
    until = begun + asked.max_tokens
    head = {
        "id": f"cmpl-{secrets.token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": asked.model,
    }

    def answer(events: Sequence[Event], **more: Any) -> dict[str, Any]:
        going = stream.position < until and not stream.ended
        reason = None if going else "stop" if stream.ended else "length"
        choice = {"index": 0, "text": "".join(map(str, events)), "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], **more}

    if not asked.stream:
        events = await service.stepping.draw(stream, asked.max_tokens)
        drawn = stream.position - begun
        usage = {"prompt_tokens": begun, "completion_tokens": drawn, "total_tokens": stream.position}
        state = await service.quick(lambda: service.state(stream)["state"])
        return JSONResponse(answer(events, usage=usage, state=state, omitted=omitted))
    done = False

    async def next_page() -> bytes | None:
        nonlocal done
        if done:
            return None
        if stream.position >= until or stream.ended:
            done = True
            return b"data: [DONE]\n\n"
        events = await service.stepping.draw(stream, min(CHUNK, until - stream.position))
        return f"data: {json.dumps(answer(events))}\n\n".encode()

    return event_stream(next_page)
