"""The wheel holds all that the commands and the app need, wherever they are run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import generator
from tests.browser import PATIENCE_MS, answers, free_port
from tests.conftest import ROOT, SHIPPED
from tests.test_architecture import pins

SAMPLE = ["sample", "shakespeare", "--seed", "7", "--tokens", "3"]


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed into it, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    pip("install", "--no-deps", "--no-compile", "--target", folder / "site", wheel)
    return folder / "site"


def environment(path: Path, **more: str) -> dict[str, str]:
    """Of a process that has Carousel from this folder."""
    return os.environ | {"PYTHONPATH": str(path)} | more


@pytest.mark.slow
def test_a_shipped_checkpoint_is_found_by_name_from_any_folder(site: Path, tmp_path: Path) -> None:
    uncompiled = environment(site, NUMBA_DISABLE_JIT="1")
    command = [sys.executable, site / "bin" / "carousel", *SAMPLE]
    said = subprocess.run(command, cwd=tmp_path, env=uncompiled, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    here = [sys.executable, "-m", "generator", *SAMPLE]
    assert subprocess.run(here, cwd=ROOT, capture_output=True, text=True, check=True).stdout == said.stdout != ""
    wrong = [sys.executable, site / "bin" / "carousel", "sample", "mozart"]
    said = subprocess.run(wrong, cwd=tmp_path, env=uncompiled, capture_output=True, text=True)
    assert said.returncode == 2
    assert all(name in said.stderr for name in SHIPPED) and said.stderr.startswith("carousel sample: mozart")


@pytest.mark.slow
def test_the_app_opens_from_any_folder(site: Path, tmp_path: Path) -> None:
    settings = {"STREAMLIT_SERVER_PORT": str(free_port()), "STREAMLIT_SERVER_HEADLESS": "true"}
    command = [sys.executable, site / "bin" / "carousel", "app"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(site, **settings)) as server:
        try:
            deadline = time.monotonic() + PATIENCE_MS / 1000
            while not answers(f"http://127.0.0.1:{settings['STREAMLIT_SERVER_PORT']}/_stcore/health"):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            server.terminate()


def test_the_app_keeps_its_settings(site: Path) -> None:
    """Streamlit reads them beside the script; without them it would report home."""
    settings = tomllib.loads(
        (site / "generator" / "shipped" / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    )
    assert settings["browser"]["gatherUsageStats"] is False and settings["theme"].keys() >= {"dark", "light"}


@pytest.mark.parametrize("file", ["defaults.json", "units.json"])
def test_the_shipped_checkpoints_have_their_files(site: Path, file: str) -> None:
    for name in SHIPPED:
        path = Path("checkpoints") / name / file
        assert (site / "generator" / "shipped" / path).read_bytes() == (ROOT / path).read_bytes()


def test_what_it_depends_on_admits_what_is_pinned(site: Path) -> None:
    (written,) = site.glob("carousel-*.dist-info/METADATA")
    facts = message_from_string(written.read_text(encoding="utf-8"))
    assert facts["Version"] == generator.__version__
    wanted = [Requirement(line) for line in facts.get_all("Requires-Dist", [])]
    wanted = [requirement for requirement in wanted if requirement.name != "carousel"]  # one extra has the others
    pinned = {name: pin for path in ROOT.glob("requirements*.txt") for name, pin in pins(path.name).items()}
    assert {requirement.name for requirement in wanted} == pinned.keys()
    for requirement in wanted:
        (pin,) = pinned[requirement.name].specifier
        assert requirement.specifier.contains(pin.version), requirement


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_installs_into_a_fresh_environment(tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "pip", "install", "-q", "--no-compile", f"{wheel}[app]"], check=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for arguments in (SAMPLE, ["sample", "bach", "--bars", "4", "-o", "x.mid"]):
        subprocess.run([binaries / "carousel", *arguments], cwd=tmp_path, env=clean, check=True)
    assert (tmp_path / "x.mid").read_bytes().startswith(b"MThd")


def test_the_version_stands_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dynamic"] == ["version"] and "version" not in project
