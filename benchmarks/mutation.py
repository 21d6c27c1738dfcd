"""Which share of random mutants of the code the tests catch (mutation testing).

python -m benchmarks.mutation --mutants 200 --seed 1

A mutant is the code with one operator, comparison, number, condition, loop, decorator or exception changed by
cosmic-ray, at a random place. Left out are changes that no test can see (in annotations and protocols, of `slots`, and
of `strict`, which only checks what is always so), and those that make no Python.

First the suite runs once under coverage, which says which tests run which line. Then each mutant, in a copy of the
repository, meets the tests that run its line, the quickest first, until one fails. Where no test is seen to run the
line, because it is compiled or runs at import, it meets those that run its file or import it. Tests beyond `--seconds`
are left out, so a mutant that only they would catch counts as a survivor. At the end all tests that caught a mutant run
on the code as it is; what only a test caught that fails there too counts as a survivor.

What is found is kept in build/mutation, so the same command goes on after Ctrl-C.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.progress import track

from benchmarks.measuring import optional, parser, report, rounded
from generator.cli import command
from generator.foundation import jit
from generator.foundation.errors import CarouselError

ROOT = Path(__file__).parents[1]
FOLDERS = ("tokenizers", "music", "streaming", "web")
COMPILED, ANEW = "compiled", "compiled-anew"
"""Folders in a copy: compiled code of the code as it is, and of a mutant."""
PLUGINS = ("no:cacheprovider", "pytest_timeout", "xdist.plugin", "pytest_cov.plugin", "_hypothesis_pytestplugin")
"""What the tests need of pytest; to look for all plugins that are installed would take most of its start."""
ENVIRONMENT = {"CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
KEY = ("path", "operator", "occurrence")
"""The fields that tell one mutant from all others."""
CAUGHT, TIMEOUT, SURVIVED = "caught", "timeout", "survived"
COMPILING_SECONDS = 120
"""Added to a mutant's time limit, for what it changes is compiled anew."""
SLOWER = 4
"""A mutant's tests may take this many times as long as under coverage."""


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    path: str
    line: int
    operator: str
    occurrence: int
    """Which of the places in the file that the operator can change."""
    change: str
    """The changed line, before and after."""


@dataclass(frozen=True)
class Suite:
    """What the run under coverage told."""

    seconds: dict[str, float]
    """How long each test that passed took."""
    lines: dict[str, dict[int, set[str]]]
    """By file and line, the tests that run it."""
    importing: dict[str, set[str]]
    """By file, the tests in files that import it."""

    def covering(self, mutant: Mutant, limit_seconds: float) -> list[str]:
        """The tests that a mutant meets, the quickest first."""
        lines = self.lines.get(mutant.path, {})
        near = set().union(*lines.values(), self.importing.get(mutant.path, set()))
        tests = lines.get(mutant.line) or near or self.seconds.keys()
        chosen, total = [], 0.0
        for test in sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test)):
            total += self.seconds[test]
            if total <= limit_seconds:
                chosen.append(test)
        return chosen


# Mutants


def mutants(root: Path, paths: Iterable[Path], seed: int) -> Iterator[Mutant]:
    """Every place that can be changed, in random order, each with one random change."""
    plugins, trees = optional("cosmic_ray.plugins"), optional("cosmic_ray.ast")
    classes = {name: plugins.get_operator(name) for name in plugins.operator_names()}
    operators = {name: operator() for name, operator in classes.items() if not operator.arguments()}
    places: dict[tuple[Path, Any], list[tuple[str, int]]] = defaultdict(list)
    for path in paths:
        nodes = list(trees.ast_nodes(trees.get_ast(path.read_text(encoding="utf-8"))))
        for name, operator in operators.items():
            positions = (position for node in nodes for position in operator.mutation_positions(node))
            for occurrence, position in enumerate(positions):
                places[path, position].append((name, occurrence))
    chance = random.Random(seed)
    order = sorted(places)
    chance.shuffle(order)
    for path, position in order:
        name, occurrence = chance.choice(places[path, position])
        before = path.read_text(encoding="utf-8")
        after = mutated(before, name, occurrence)
        if running(after) not in ("", running(before)):
            lines = zip(before.splitlines(), after.splitlines(), strict=False)
            change = next(f"{old.strip()} -> {new.strip()}" for old, new in lines if old != new)
            yield Mutant(path.relative_to(root).as_posix(), position[0][0], name, occurrence, change)


def mutated(source: str, operator: str, occurrence: int) -> str:
    """The source with one change; as it is where cosmic-ray fails to make it."""
    change = optional("cosmic_ray.plugins").get_operator(operator)()
    try:
        return str(optional("cosmic_ray.mutating").MutationVisitor.mutate_code(source, change, occurrence))
    except AttributeError:  # it takes `=` in `print(x, end="")` for one that has two sides, say
        return source


class _Running(ast.NodeTransformer):
    """Takes away what changes no result: annotations, protocols, and the keywords `slots` and `strict`."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | None:
        protocol = any(ast.unparse(base) == "Protocol" for base in node.bases)
        return None if protocol else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("slots", "strict")]
        return self.generic_visit(node)


def running(source: str) -> str:
    """What of a source makes a difference at run time; nothing of what is not Python."""
    try:
        return ast.dump(_Running().visit(ast.parse(source)))
    except SyntaxError:
        return ""


# The suite


def pytest(folder: Path, *flags: str, limit_seconds: float | None = None, kept: str = COMPILED) -> tuple[int, str]:
    """Run pytest in a copy of the repository; its exit status, and what it printed.

    Args:
        kept: the folder in the copy where compiled code is kept.

    Raises:
        subprocess.TimeoutExpired: it took longer than the limit, and was killed.
    """
    plugins = [part for name in PLUGINS for part in ("-p", name)]
    line = [sys.executable, "-m", "pytest", "-q", *plugins, "--tb=no", "-rfE", *flags]
    process = subprocess.Popen(
        line,
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.fspath(folder), "NUMBA_CACHE_DIR": os.fspath(folder / kept)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=limit_seconds)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, printed


def measured(kept: Path, folder: Path, workers: int) -> Suite:
    """The suite run once under coverage, or what an earlier run kept of it."""
    data, results = kept / "coverage", kept / "results.xml"
    if not results.is_file():
        print("the suite runs once under coverage", file=sys.stderr)
        config = kept / "coveragerc"
        config.write_text(f"[run]\ndata_file = {data}\nrelative_files = true\n", encoding="utf-8")
        flags = ("--cov=generator", "--cov-context=test", "--cov-report=", f"--cov-config={config}")
        _, printed = pytest(folder, *flags, f"--junitxml={results}", f"--numprocesses={workers}")
        print(printed[-2000:], file=sys.stderr)
    coverage = optional("coverage").CoverageData(os.fspath(data))
    coverage.read()
    lines = {}
    for name in coverage.measured_files():
        by_line = coverage.contexts_by_lineno(name)
        lines[name] = {line: {test.partition("|")[0] for test in tests} - {""} for line, tests in by_line.items()}
    collected = set(pytest(folder, "--collect-only")[1].splitlines())
    seconds = {}
    for case in ElementTree.parse(results).iter("testcase"):
        name = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        if name in collected and not {child.tag for child in case} & {"failure", "error", "skipped"}:
            seconds[name] = float(case.attrib["time"])
    if not seconds:
        raise CarouselError("no test passed; see what make test says")
    importing: dict[str, set[str]] = defaultdict(set)
    for file in {test.partition("::")[0] for test in seconds}:
        for path in imported((folder / file).read_text(encoding="utf-8")):
            importing[path] |= {test for test in seconds if test.startswith(f"{file}::")}
    return Suite(seconds, lines, importing)


def imported(source: str) -> set[str]:
    """The paths of the modules of the package that a source imports, if they are modules."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("generator"):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {f"{str(module).replace('.', '/')}.py" for module in found}


def copied(target: Path) -> Path:
    """The repository's files as they were committed, to make mutants in."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    archive = subprocess.check_output(["git", "archive", "HEAD"], cwd=ROOT)
    subprocess.run(["tar", "--extract", "--file=-"], cwd=target, check=True, input=archive)
    return target


# Mutants and the suite


def tried(mutant: Mutant, folders: SimpleQueue[Path], suite: Suite, seconds: float) -> dict[str, Any]:
    """What became of a mutant, in one of the copies."""
    folder = folders.get()
    path, tests = folder / mutant.path, suite.covering(mutant, seconds)
    before, package = path.read_text(encoding="utf-8"), folder / "generator"
    kept, before_compiled = COMPILED, folder / COMPILED / jit.folder_of(package)
    listed = folder / "tests.txt"
    listed.write_text("\n".join(tests), encoding="utf-8")
    limit = COMPILING_SECONDS + SLOWER * sum(suite.seconds[test] for test in tests)
    try:
        path.write_text(mutated(before, mutant.operator, mutant.occurrence), encoding="utf-8")
        if path in jit.sources(package):
            kept = ANEW
            if before_compiled.is_dir() and not may_be_compiled(before, mutant.line):
                # then numba compiles again what the file itself has only
                shutil.copytree(before_compiled, folder / ANEW / jit.folder_of(package))
        status, printed = pytest(folder, "-x", f"@{listed}", limit_seconds=limit, kept=kept)
        outcome = CAUGHT if status else SURVIVED
        by = next(failed(printed), f"exit status {status}") if status else ""
    except subprocess.TimeoutExpired:
        outcome, by = TIMEOUT, ""
    finally:
        path.write_text(before, encoding="utf-8")
        shutil.rmtree(folder / ANEW, ignore_errors=True)
        folders.put(folder)
    return asdict(mutant) | {"outcome": outcome, "by": by, "tests": len(tests)}


def may_be_compiled(source: str, line: int) -> bool:
    """Whether a line is in a compiled function or in none, as a constant is that may be compiled in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0):
            return any("compiled" in ast.unparse(decorator) for decorator in node.decorator_list)
    return True


def failed(printed: str) -> Iterator[str]:
    """The tests that failed, by pytest's summary."""
    for line in printed.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            yield line.partition(" ")[2].partition(" - ")[0]


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("mutation", __doc__)
    made.add_argument("--mutants", type=command.positive, default=200, metavar="N", help="(default: 200)")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="which mutants (default: 1)")
    made.add_argument(
        "--folders", nargs="+", default=FOLDERS, metavar="NAME", help="or files, in generator/ (default: all four)"
    )
    made.add_argument(
        "--seconds", type=command.positive_seconds, default=120, metavar="S", help="of tests a mutant (default: 120)"
    )
    made.add_argument("--workers", type=command.positive, default=2, metavar="N", help="at a time (default: 2)")
    return command.run(made, work, arguments)


def work(given: argparse.Namespace) -> None:
    """Try the mutants and report."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    kept = ROOT / "build" / "mutation" / commit
    kept.mkdir(parents=True, exist_ok=True)
    copies = [copied(kept / f"copy-{number}") for number in range(given.workers)]
    suite = measured(kept, copies[0], given.workers)
    named = [copies[0] / "generator" / name for name in given.folders]
    paths = sorted(path for folder in named for path in ([folder] if folder.is_file() else folder.rglob("*.py")))
    drawn = list(islice(mutants(copies[0], paths, given.seed), given.mutants))
    log = kept / "mutants.jsonl"
    log.touch()
    row_key, mutant_key = itemgetter(*KEY), attrgetter(*KEY)
    known = {row_key(row): row for row in map(json.loads, log.read_text(encoding="utf-8").splitlines())}
    waiting = [mutant for mutant in drawn if mutant_key(mutant) not in known]
    folders: SimpleQueue[Path] = SimpleQueue()
    for folder in copies:
        folders.put(folder)
    with ThreadPoolExecutor(given.workers) as pool, log.open("a", encoding="utf-8") as file:
        found = pool.map(partial(tried, folders=folders, suite=suite, seconds=given.seconds), waiting)
        for row in track(found, "mutants", len(waiting), console=Console(stderr=True)):
            known[row_key(row)] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
    rows = [known[mutant_key(mutant)] for mutant in drawn]
    listed = kept / "tests.txt"
    listed.write_text("\n".join({row["by"] for row in rows} & suite.seconds.keys()), encoding="utf-8")
    broken = set(failed(pytest(copies[0], f"@{listed}")[1]))
    rows = [row | {"outcome": SURVIVED} if row["by"] in broken else row for row in rows]
    outcomes = Counter(row["outcome"] for row in rows)
    share, survived = rounded(1 - outcomes[SURVIVED] / len(rows)), [row for row in rows if row["outcome"] == SURVIVED]
    about = {"commit": commit, "mutants": len(rows), "outcomes": dict(outcomes)}
    report("mutation", given, "cosmic-ray", **about, share_caught=share, rows=survived)


if __name__ == "__main__":
    sys.exit(main())
