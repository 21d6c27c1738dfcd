"""Mutation testing: the mutants are real changes, and what catches them is told from what does not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import mutation
from benchmarks.mutation import Mutant, Suite, imported, may_be_compiled, mutants, mutated, running

PRICE = '''"""A shop."""

from __future__ import annotations


def price(count: int, each: float | None = None) -> float:
    return count * (each or 2.0)


def unseen(count: int) -> int:
    return count + 1


def seen(count: int) -> int:
    return count + 1
'''
TESTS = """
from generator.music.shop import price, seen, unseen

def test_price():
    assert price(3) == 6.0 and price(3, 5.0) == 15.0

def test_seen():
    assert [seen(count) for count in range(9)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]

def test_that_checks_nothing():
    unseen(2)

def test_that_fails():
    assert False
"""


def test_what_does_not_run_is_no_change() -> None:
    assert running("def f(a: int | None = 1) -> str: ...") == running("def f(a: int + None = 1) -> bytes: ...")
    assert running("x: int = 1") == running("x: str = 1") != running("x: int = 2")
    assert running("class A(Protocol):\n    @property\n    def b(self): ...") == running("class A(Protocol): ...")
    assert running("zip(a, b, strict=True)") == running("zip(a, b, strict=False)") != running("zip(a, c)")
    assert running("def f(a, <<, b): ...") == ""


def test_every_mutant_is_a_change_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(PRICE)
    found = list(mutants(tmp_path, [path], seed=1))
    assert found == list(mutants(tmp_path, [path], seed=1)) != list(mutants(tmp_path, [path], seed=2))
    assert sorted({mutant.line for mutant in found}) == [7, 11, 15]  # the annotation in line 6 does not count
    for mutant in found:
        before, after = mutant.change.split(" -> ", 1)
        lines = mutated(PRICE, mutant.operator, mutant.occurrence).splitlines()
        assert PRICE.splitlines()[mutant.line - 1].strip() == before
        assert lines[mutant.line - 1].strip() == after != before


LOOPS = """LENGTH = 3

@compiled
def loop(length: int) -> int:
    return length

class Loops:
    length = 4

    def loop(self) -> int:
        return loop(self.length)
"""


def test_constants_and_compiled_functions_are_compiled_anew() -> None:
    assert [line for line in range(1, 12) if may_be_compiled(LOOPS, line)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_mutant_meets_the_tests_of_its_line_or_else_of_its_file() -> None:
    lines = {"x.py": {1: set(), 2: {"a", "b"}, 3: {"c", "failed"}}}
    suite = Suite({"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.5}, lines, {"x.py": {"d"}})

    def met(path: str, line: int, seconds: float = 99) -> list[str]:
        return suite.covering(Mutant(path, line, "", 0, ""), seconds)

    assert met("x.py", 2) == ["b", "a"]
    assert met("x.py", 3) == ["c"]
    assert met("x.py", 1) == ["d", "b", "c", "a"]
    assert met("y.py", 1, 3.6) == ["d", "b", "c"]


def test_what_a_test_imports() -> None:
    source = "import os\nfrom generator.music import keys\nfrom generator.music.score import Note\n"
    assert {"generator/music/keys.py", "generator/music/score.py"} <= imported(source)
    assert not imported("from tests.conftest import tiny")


@pytest.mark.slow
def test_the_command_tells_who_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in {"generator/music/shop.py": PRICE, "tests/test_shop.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    for arguments in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(mutation, "ROOT", tmp_path)
    flags = ["--mutants", "7", "--folders", "music", "--workers", "1"]
    assert mutation.main(flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mutants"] == 7
    assert {row["line"] for row in found["rows"]} == {11}
    assert found["outcomes"] == {"caught": 5, "survived": 2}, "one of these is as one that is caught, but elsewhere"
    assert found["share_caught"] == pytest.approx(5 / 7, abs=1e-3)
    log = next(tmp_path.glob("build/mutation/*/mutants.jsonl"))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert {row["by"] for row in rows} == {"tests/test_shop.py::test_price", "tests/test_shop.py::test_seen", ""}

    log.write_text("".join(json.dumps(row | {"outcome": "survived", "by": ""}) + "\n" for row in rows))
    assert mutation.main(flags) == 0  # goes on from the log
    assert json.loads(capsys.readouterr().out)["share_caught"] == 0
