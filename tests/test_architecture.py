"""The house stands as drawn: imports run downward, files are short and clean, the lists of what there is are true."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
MODULES = [ROOT / "app.py", *sorted((ROOT / "generator").rglob("*.py"))]
MAX_LINES = 350
MAX_LINES_OF_THE_PACKAGE = 300
TOOLS = {"hatchling", "import-linter", "musicxml", "mypy", "pdoc", "pytest-timeout", "pytest-xdist", "ruff"}
"""What the tests and `make docs` need but no test imports."""


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def files() -> list[Path]:
    """What git tracks, or would if it were added, relative to the root."""
    command = ("git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({Path(name) for name in names.split("\0") if name and (ROOT / name).exists()})


def test_imports_run_downward() -> None:
    """The floors are the layers of the contract in `pyproject.toml`."""
    run(str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo")


def test_only_the_doors_import_the_public_names() -> None:
    """`import generator` below the top floor would run upward, where the layers cannot see it."""
    importers = grimp.build_graph("generator", cache_dir=None).find_modules_that_directly_import("generator")
    assert {name for name in importers if name.split(".")[1] not in ("__main__", "web")} == set()


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
def test_the_checkers_are_content(command: tuple[str, ...]) -> None:
    run(sys.executable, "-m", *command)


def test_files_are_short() -> None:
    long = {}
    for path in files():
        if path.suffix in (".py", ".js", ".css", ".toml"):
            lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
            if lines > (MAX_LINES_OF_THE_PACKAGE if path.parts[0] == "generator" else MAX_LINES):
                long[str(path)] = lines
    assert not long, f"too many lines: {long}"


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", [dotted(path) for path in MODULES if "__all__" in path.read_text(encoding="utf-8")])
def test_all_is_complete(name: str) -> None:
    """`__all__` holds every function and class that a module defines, and all that the package binds."""
    module = importlib.import_module(name)
    assert [entry for entry in module.__all__ if not hasattr(module, entry)] == []
    public = {entry: value for entry, value in vars(module).items() if not entry.startswith("_")}
    if name == "generator":
        bound = {entry for entry, value in public.items() if not isinstance(value, type(sys))} - {"annotations"}
    else:
        bound = {entry for entry, value in public.items() if getattr(value, "__module__", None) == name}
    assert bound - set(module.__all__) == set()


INSTALLED = ("requirements.txt", "requirements-serve.txt", "requirements-bench.txt", "requirements-dev.txt")
"""What `make test` installs."""


def pins(name: str) -> dict[str, Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


def imported(paths: list[Path], owners: Mapping[str, list[str]]) -> set[str]:
    """The distributions whose modules these files import; `owners` has those of each module."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.add(node.module.partition(".")[0])
    outside = names - sys.stdlib_module_names - {"app", "benchmarks", "docs", "generator", "tests"}
    return {owner.lower().replace("_", "-") for name in outside for owner in owners.get(name, [f"nobody's {name}"])}


def test_what_is_imported_is_required_and_nothing_else() -> None:
    owners = metadata.packages_distributions()
    served = [path for path in MODULES if path.parent.name == "serving" or path.name == "serve.py"]
    assert imported([path for path in MODULES if path not in served], owners) == set(pins("requirements.txt"))
    assert imported(served, owners) - set(pins("requirements.txt")) == set(pins("requirements-serve.txt"))
    others = imported([*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")], owners)
    assert others <= {name for path in INSTALLED for name in pins(path)}
    assert set(pins("requirements-dev.txt")) <= others | TOOLS


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_requirements_are_pinned_to_what_was_tested(name: str) -> None:
    assert pins(name)
    for distribution, requirement in pins(name).items():
        (pin,) = requirement.specifier
        assert pin.operator == "==" and "*" not in pin.version, f"{name}: {requirement}"
        if name in INSTALLED:
            installed = Version(metadata.version(distribution)).public
            assert pin.version == installed, f"{name}: {distribution}: {installed} is installed"


def test_each_target_of_make_is_there_once() -> None:
    """A merge once gave one the name of another, so that it did nothing and said so to nobody."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    assert sorted(re.findall(r"^([a-z-]+):.*## ", makefile, re.M)) == sorted(phony.split())


def test_the_tree_is_drawn_as_it_is() -> None:
    """The block that opens with ```tree: two spaces a level, folders end in a slash, a remark after two spaces.

    A folder drawn with anything in it is drawn with everything in it.
    """
    block = re.search(r"^```tree\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S)
    assert block, "CONTRIBUTING.md has no ```tree block"
    drawn: dict[Path, set[str]] = {Path(): set()}
    trail: list[Path] = [Path()]
    for line in filter(str.strip, block.group(1).splitlines()):
        name = re.split(r"\s{2,}|\s+#", line.strip())[0]
        depth = (len(line) - len(line.lstrip())) // 2
        assert depth < len(trail), f"drawn in no folder: {line}"
        drawn.setdefault(trail[depth], set()).add(name)
        trail[depth + 1 :] = [trail[depth] / name]
    real: dict[Path, set[str]] = {}
    for path in files():
        for child in (path, *path.parents[:-1]):
            real.setdefault(child.parent, set()).add(child.name + ("" if child == path else "/"))
    for folder, names in drawn.items():
        assert names == real.get(folder, set()), f"CONTRIBUTING.md draws {folder} otherwise than it is"
