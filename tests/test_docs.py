"""The documentation holds together: links lead somewhere, every page can be reached, and the reference is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest

import generator
from tests.conftest import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "checkpoints/*/card.md")
    for path in ROOT.glob(pattern)
)
GUIDES = [page for page in PAGES if not page.startswith("checkpoints/")]
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^][]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)
OUTSIDE = ("https://", "http://", "mailto:")
FOLDERS = ("benchmarks/", "data/", "docs/", "generator/", "tests/")
"""A path in these that a page names in code is there."""


def whole(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return FENCED.sub("", whole(page))


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        text = LINK.sub(lambda link: link[0].partition("]")[0].lstrip("!["), heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        same = sum(bool(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor)) for anchor in found)
        found.add(f"{slug}-{same}" if same else slug)
    return found


def links(page: str) -> list[str]:
    return [link for link in LINK.findall(CODE.sub("", prose(page))) if not link.startswith(OUTSIDE)]


def target(page: str, link: str) -> Path:
    """The file that a link leads to."""
    path = link.partition("#")[0]
    return ((ROOT / page).parent / path).resolve() if path else ROOT / page


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in links(page):
        path, anchor = target(page, link), link.partition("#")[2]
        assert path.exists() and path.is_relative_to(ROOT), f"{page}: {link} is not there"
        if anchor:
            assert anchor in anchors(str(path.relative_to(ROOT))), f"{page}: {link} has no such heading"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_path_that_is_named_is_there(page: str) -> None:
    for name in CODE.findall(prose(page)):
        if name.startswith(FOLDERS) and re.fullmatch(r"[\w./-]+", name):
            assert (ROOT / name).exists(), f"{page}: {name} is not there"


@pytest.mark.parametrize("page", GUIDES)
def test_every_name_is_in_the_file_that_is_said_to_have_it(page: str) -> None:
    for name, path in re.findall(r"`([\w.]+)` in\s+`([\w./-]+\.\w+)`", prose(page)):
        words = re.findall(r"\w+", whole(path))
        assert set(name.split(".")) <= set(words), f"{page}: {path} has no {name}"


def test_every_guide_can_be_reached_from_the_readme() -> None:
    reached, ahead = {"README.md"}, ["README.md"]
    while ahead:
        page = ahead.pop()
        found = {str(target(page, link).relative_to(ROOT)) for link in links(page)} & set(PAGES)
        ahead += found - reached
        reached |= found
    assert not set(GUIDES) - reached


@pytest.mark.parametrize("page", [page for page in GUIDES if "python -m generator" in whole(page)])
def test_who_has_the_package_is_told_of_its_command(page: str) -> None:
    assert re.search(r"`carousel( \w+)?`", prose(page)), f"{page} does not say that `carousel` is the same"


def test_the_readme_is_short() -> None:
    assert len(whole("README.md").splitlines()) <= 150


ENTRY = re.compile(r"\*\*(?P<term>[^*]+)\*\*(?: \(also [^()]+\))?: .+\. More: \[[^]]+\]\([^)]+\)\.")


def test_the_glossary_is_in_order() -> None:
    """Three sections, each in alphabetical order, of entries that end in a link to more."""
    _, *sections = prose("docs/glossary.md").split("\n## ")
    assert len(sections) == 3
    for section in sections:
        terms = []
        for text in section.split("\n- ")[1:]:
            entry = ENTRY.fullmatch(" ".join(text.split()))
            assert entry, text
            terms.append(entry["term"].lower())
        assert terms and all(first < second for first, second in pairwise(terms)), terms


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make docs` writes."""
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, "-W", "error", "-m", "docs.reference", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_reference_has_every_public_name(reference: Path) -> None:
    page = (reference / "generator.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.S))
    assert sorted(sections) == sorted(generator.__all__)
    for name, section in sections.items():
        own = re.search(r'<div class="docstring">(.*?)</div>', section.partition('class="classattr"')[0], re.S)
        assert own, f"{name} has no docstring"
        meaning = unescape(re.sub(r"<[^>]+>", "", own[1])).strip()
        assert meaning and not meaning.startswith(f"{name}("), f"{name} has no docstring: {meaning}"


def test_the_links_of_the_reference_lead_somewhere(reference: Path) -> None:
    for path in reference.rglob("*.html"):
        for link in re.findall(r'href="([^"$]+)"', path.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            if not link.startswith(OUTSIDE):
                found = (path.parent / name if name else path).resolve()
                text = found.read_text(encoding="utf-8")
                assert not anchor or f'id="{anchor}"' in text, f"{path.name}: {link}"
