"""Downloads: checked by hash, kept once, and not made where the mirror has the file."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from generator.corpora import download
from generator.foundation.errors import CarouselError


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which this machine serves it."""
    root = tmp_path / "served"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv(download.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(download.MIRROR, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_downloaded_once_and_checked(served: tuple[Path, str]) -> None:
    root, address = served
    data = bytes(range(256)) * 1000
    (root / "a.bin").write_bytes(data)
    path = download.fetch(f"{address}/a.bin", sha256(data))
    assert path.read_bytes() == data
    (root / "a.bin").unlink()
    assert download.fetch(f"{address}/a.bin", sha256(data)) == path
    path.write_bytes(b"damaged")
    with pytest.raises(CarouselError, match="cannot be downloaded"):
        download.fetch(f"{address}/a.bin", sha256(data))


def test_a_wrong_hash_is_refused_and_leaves_nothing(served: tuple[Path, str], tmp_path: Path) -> None:
    root, address = served
    (root / "a.bin").write_bytes(b"another")
    with pytest.raises(CarouselError, match="has another SHA-256"):
        download.fetch(f"{address}/a.bin", sha256(b"wanted"))
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_the_mirror_is_asked_before_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/input.txt"  # nobody listens on the discard port
    monkeypatch.setenv(download.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(download.MIRROR, str(tmp_path))
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "input.txt").write_bytes(b"another of the same name")
    with pytest.raises(CarouselError, match=r"cannot be downloaded .*no file of its SHA-256"):
        download.fetch(url, sha256(b"wanted"))
    (tmp_path / "one" / "two" / "renamed.txt").write_bytes(b"wanted")
    assert download.fetch(url, sha256(b"wanted")) == tmp_path / "one" / "two" / "renamed.txt"
    (tmp_path / "one" / "input.txt").write_bytes(b"wanted")
    assert download.fetch(url, sha256(b"wanted")) == tmp_path / "one" / "input.txt"
    monkeypatch.setenv(download.MIRROR, str(tmp_path / "none"))
    with pytest.raises(CarouselError, match="not a folder"):
        download.fetch(url, sha256(b"wanted"))


def test_downloads_need_a_place(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, address = served
    (root / "a.bin").write_bytes(b"data")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(download.CACHE, str(tmp_path / "file"))
    with pytest.raises(CarouselError, match="cannot write"):
        download.fetch(f"{address}/a.bin", sha256(b"data"))
