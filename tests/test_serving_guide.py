"""What the guide to the server says is run, and it names all that there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT
from tests.serving import serving
from tests.test_benchmarks import is_ratio, run
from tests.test_guides import blocks

GUIDE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(ROOT / "checkpoints" / "bach", ROOT / "checkpoints" / "shakespeare") as server:
        source = "\n".join(blocks("python", GUIDE)).replace("http://127.0.0.1:8000", server.url)
        exec(compile(source, "serving.md", "exec"), {})
        assert (tmp_path / "chorale.mid").read_bytes().startswith(b"MThd")
        assert "'TimeSignature'" in capsys.readouterr().out
        routes = server.session.get(f"{server.url}/openapi.json").json()["paths"]
        for path, methods in routes.items():
            assert all(f"`{method.upper()} {path}`" in GUIDE for method in methods), path
        assert list(text_string_to_metric_families(server.session.get(f"{server.url}/metrics").text))


@pytest.mark.slow
def test_the_benchmark_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--clients", "1", "3", "--page", "16", "--pages", "20", "--rounds", "1"]
    rows = run("serving", capsys, str(folder / "words"), *flags)["rows"]
    assert [row["clients"] for row in rows] == [1, 3]
    assert all(is_ratio(row["ratio"]) for row in rows)
