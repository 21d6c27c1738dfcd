"""The state of a stream as a signed text that its client holds, so that the server remembers nobody.

A state is `POSITION.TAKE.TIME.SIGNATURE`: the number of the next token; the take, compressed, in URL-safe base64; the
time of signing, in base64; and the HMAC-SHA-256 of all before it. Any server that has the key and the checkpoint goes
on from it. Nothing of a state is looked at before its length and its signature are found right.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace

from itsdangerous import BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell
from generator.serving.refusals import Refused
from generator.streaming.snapshot import Snapshot

KEYS = "CAROUSEL_KEYS"
"""The environment variable with the keys, separated by commas."""
SHORTEST_KEY = 16
LONGEST = 48 * 1024
"""The longest state, in characters: with others it fits into the headers of a request, where SSE needs it."""
REMEMBERED = 60_000
"""The most tokens of a stream whose past is in its state and can be drawn again. Of a longer one the state has only
what its future depends on, so that it grows no more, however often options change."""
LARGEST_TAKE = 2**20
"""The most bytes of a take in a state."""


def keys_given() -> list[str]:
    """The keys in the environment, or a random one, which is told.

    Raises:
        CarouselError: a key is so short that it could be guessed.
    """
    keys = [key.strip() for key in os.environ.get(KEYS, "").split(",") if key.strip()]
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise CarouselError(f"{KEYS}: a key has at least {SHORTEST_KEY} characters; take 32 random ones")
    if not keys:
        tell(f"{KEYS} is not set, so the key is a random one: states are void once this server ends")
        keys = [secrets.token_urlsafe(32)]
    return keys


class States:
    """Writes and reads states."""

    def __init__(self, keys: Sequence[str], seconds: int) -> None:
        """Sign with the last of the keys, and accept all of them, for so many seconds."""
        self._signer = TimestampSigner(list(keys), b"carousel.state", digest_method=hashlib.sha256)
        self._seconds = seconds

    def write(self, snapshot: Snapshot) -> str:
        """The state of a stream.

        Raises:
            Refused: it is too long, after very many changes of options, or with much that was given to the stream.
        """
        if snapshot.position > REMEMBERED:
            snapshot = without_past(snapshot)
        data = snapshot.to_bytes()
        take = urlsafe_b64encode(zlib.compress(data, 1)).rstrip(b"=").decode()
        state = self._signer.sign(f"{snapshot.position}.{take}").decode()
        if len(state) > LONGEST or len(data) > LARGEST_TAKE:
            raise Refused(413, "state_too_large", "too much was given to this stream or changed in it; begin another")
        return state

    def read(self, state: str) -> Snapshot:
        """The stream's moment.

        Raises:
            Refused: the state is no state, was not signed with one of the keys, or is too old or too long.
        """
        if len(state) > LONGEST:
            raise Refused(413, "state_too_large", f"a state has at most {LONGEST:,} characters; send it as it came")
        try:
            if not state.isascii():
                raise BadSignature("no state")
            value, signed = self._signer.unsign(state, return_timestamp=True)
            signature = state.rpartition(".")[2].encode()
            if base64_encode(base64_decode(signature)) != signature:  # its last character has bits to spare
                raise BadSignature("another spelling")
        except BadSignature:
            raise Refused(
                403, "state_forged", "this state was not signed by this server, or was changed; send it as it came"
            ) from None
        if time.time() - signed.timestamp() > self._seconds:  # another server's clock may be ahead of this one's
            raise Refused(410, "state_expired", "this state is too old; begin a new stream")
        packed = value.rpartition(b".")[2]
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(urlsafe_b64decode(packed + b"=" * (-len(packed) % 4)), LARGEST_TAKE)
        return Snapshot.from_bytes(data)


def without_past(snapshot: Snapshot) -> Snapshot:
    """The same moment with the same future, without the changes and the phrases that led there. Of the changes only the
    one counts that brought the text `starts_with`, of which a part may still be to come."""
    now, since = snapshot.options, snapshot.position
    for at, options in reversed(snapshot.timeline):
        if options.starts_with != now.starts_with:
            break
        since = at
    before = ((0, replace(now, starts_with=None)),) if since else ()
    return replace(snapshot, timeline=(*before, (since, now)), injected=())
