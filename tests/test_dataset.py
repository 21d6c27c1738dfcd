"""TokenDataset: what was encoded is what is read, built once, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from generator.corpora import open_corpus
from generator.corpora.base import Piece, Progress
from generator.corpora.dataset import INDEX, TokenDataset, _sources, prepare
from generator.corpora.download import CACHE
from generator.foundation.errors import CarouselError
from generator.music.score import Note, Score, Voice
from generator.tokenizers import fit
from generator.tokenizers.char import CharTokenizer
from tests.conftest import ROOT, four_voices
from tests.given import TEXTS, Given


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE, str(folder))
    return folder


def spelled(dataset: TokenDataset) -> dict[str, list[str]]:
    return {name: [dataset.tokenizer.decode(piece) for piece in dataset.split(name)] for name in dataset.splits}


def test_what_is_encoded_is_what_is_read() -> None:
    corpus = Given(TEXTS)
    dataset = prepare(corpus, progress=False)
    assert spelled(dataset) == {split: [f"{text}\n" for text in texts] for split, texts in TEXTS.items()}
    train = dataset.split("train")
    assert isinstance(train.tokens, np.memmap)
    assert train.tokens.dtype == np.uint16
    assert train.offsets.tolist() == [0, 6, 13]
    assert train.names == ("train 0", "train 1")
    assert len(train) == 2
    assert [piece[-1] for piece in train] == [dataset.tokenizer.end] * 2
    assert np.array_equal(train[-1], train[1])
    assert dataset.skipped == (("lost.txt", "it was lost"),)
    with pytest.raises(ValueError, match="read-only"):
        train.tokens[0] = 1
    with pytest.raises(IndexError):
        train[2]
    for tokens, offsets in ((1, [0, 1]), (6, [0, 6]), (7, [0, 6, 7]), (13, [0, 6, 13]), (99, [0, 6, 13])):
        beginning = train.beginning(tokens)
        assert beginning.offsets.tolist() == offsets and len(beginning) == len(offsets) - 1
        assert np.array_equal(beginning.tokens, train.tokens[:tokens])
    with pytest.raises(CarouselError, match="given has no split dev; choose one of train, validation, test"):
        dataset.split("dev")


def test_the_vocabulary_is_the_training_splits() -> None:
    dataset = prepare(Given(TEXTS), progress=False)
    assert isinstance(dataset.tokenizer, CharTokenizer)
    assert dataset.tokenizer.characters == " benort"
    assert spelled(prepare(Given({**TEXTS, "test": ["that"]}), progress=False))["test"] == ["t\ufffd\ufffdt\n"]


def test_a_corpus_is_read_once_and_then_never_again() -> None:
    corpus = Given(TEXTS)
    first = prepare(corpus, progress=False)
    again = prepare(corpus, progress=False)
    assert corpus.reads == 1
    assert (first.folder, first.key) == (again.folder, again.key)
    assert corpus.skipped == [("lost.txt", "it was lost")]


def test_another_corpus_or_tokenizer_is_another_dataset() -> None:
    made = [
        prepare(Given(TEXTS), progress=False),
        prepare(Given({**TEXTS, "train": ["to be", "or nought"]}), progress=False),
        prepare(Given(TEXTS), CharTokenizer("abc"), progress=False),
    ]
    assert len({dataset.folder for dataset in made}) == len({dataset.key for dataset in made}) == 3
    assert made[2].tokenizer.to_json() == CharTokenizer("abc").to_json()


@pytest.mark.parametrize("how", ["cut", "flipped", "missing", "garbage"])
def test_a_damaged_dataset_is_built_again(how: str) -> None:
    corpus = Given(TEXTS)
    dataset = prepare(corpus, progress=False)
    path = dataset.folder / ("train.tokens" if how in ("cut", "flipped") else INDEX)
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-2], "flipped": data, "garbage": b"{"}[how])
    again = prepare(corpus, progress=False)
    assert corpus.reads == 2
    assert spelled(again) == spelled(prepare(Given(TEXTS), progress=False))
    assert [path.name for path in dataset.folder.parent.iterdir()] == [dataset.folder.name]


def test_what_cannot_be_encoded_is_skipped_and_named() -> None:
    silent = Score(480, (Voice("Flute"),), ())
    corpus = Given({"train": [four_voices(), silent], "validation": [four_voices()], "test": [silent]}, "music")
    dataset = prepare(corpus, progress=False)
    assert dataset.splits == ("train", "validation")
    assert [name for name, _ in dataset.skipped] == ["lost.txt", "train 1", "test 0"]
    with pytest.raises(CarouselError, match="no piece for the validation split; 2 were skipped, first lost"):
        prepare(Given({"train": [four_voices()], "validation": [silent]}, "music"), progress=False)


def test_a_performance_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pieces are read once for their styles, and once more to be encoded one by one."""
    note = Note(0, 480, 60)
    corpus = Given({"train": [Score(480, (Voice("Piano"),), (note,))] * 3, "validation": [four_voices()]}, "music")
    dataset = prepare(corpus, "performance", progress=False)
    assert corpus.reads == 2
    assert dataset.tokenizer.to_json() == fit("performance", []).to_json()


def test_text_is_not_for_a_music_tokenizer() -> None:
    with pytest.raises(CarouselError, match="given: it holds text, the tokenizer is for music"):
        prepare(Given(TEXTS), "score", progress=False)


def test_a_failed_build_leaves_nothing(cache: Path) -> None:
    class Failing(Given):
        def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
            yield from super().read(progress)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(Failing(TEXTS), progress=False)
    assert list((cache / "shards").iterdir()) == []


def test_no_place_for_the_cache(cache: Path) -> None:
    cache.write_bytes(b"a file where a folder should be")
    with pytest.raises(CarouselError, match=f"{CACHE} to another folder"):
        prepare(Given(TEXTS), progress=False)


BUILD = """
import resource, signal, sys
from generator.corpora import open_corpus
from generator.corpora.base import Piece, Progress
from generator.corpora.dataset import prepare
from generator.foundation.errors import CarouselError
limit = int(sys.argv[2])
if limit:  # as on a full disk, a write stops half way
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    print(prepare(open_corpus(sys.argv[1]), progress=False).key)
except CarouselError as error:
    print("CarouselError:", error)
"""


def build(path: Path, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(path), str(limit)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_full_disk_is_told_in_a_line_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "text.txt").write_text("no room for all of this " * 1000)
    said, complained = build(tmp_path / "text.txt", limit=10_000).communicate(timeout=120)
    assert said.startswith("CarouselError:") and "free some space" in said, complained
    assert list((cache / "shards").iterdir()) == []


def test_two_may_build_at_the_same_time(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(f"line {number}\n" for number in range(20_000)))
    said = [process.communicate(timeout=120) for process in [build(tmp_path / "text.txt") for _ in range(2)]]
    key = prepare(open_corpus(tmp_path / "text.txt"), progress=False).key
    assert [out for out, _ in said] == [f"{key}\n"] * 2, said
    assert len(list((cache / "shards").iterdir())) == 1


WAITED_FOR = """
import sys
from generator.corpora.dataset import prepare
from tests.given import TEXTS, Given

class Slow(Given):
    def read(self, progress=None):
        print("reading", flush=True)
        sys.stdin.readline()
        yield from super().read(progress)

corpus = Slow(TEXTS)
print(prepare(corpus).key, corpus.reads)
"""


def test_who_comes_second_says_so_waits_and_takes_what_was_made(cache: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", WAITED_FOR]
    first = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert first.stdout and first.stdout.readline() == "reading\n"
    second = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert second.stderr and second.stderr.readline() == "given: another process is reading it; waiting\n"
    made = first.communicate("go on\n")[0].split()
    assert second.communicate()[0].split() == [made[0], "0"]
    assert made[1] == "1"
    assert len(list((cache / "shards").iterdir())) == 1


def test_what_a_killed_process_began_goes_and_what_a_living_one_builds_stays(cache: Path) -> None:
    """Whatever corpus the next one wants."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = []
    for text in ("of the killed one", "of the living one"):
        code = WAITED_FOR.replace("Slow(TEXTS)", f"Slow({{**TEXTS, 'test': [{text!r}]}})")
        processes.append(subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes))
        assert processes[-1].stdout and processes[-1].stdout.readline() == "reading\n"
    begun = set((cache / "shards").iterdir())
    assert len(begun) == 4, "a folder and a lock each"
    processes[0].kill()
    processes[0].communicate()
    dataset = prepare(Given(TEXTS), progress=False)
    assert len(begun & set((cache / "shards").iterdir())) == 2
    assert processes[1].communicate("go on\n")[0].split()[1] == "1"
    assert len(list((cache / "shards").iterdir())) == 2 and dataset.folder.exists()


def test_a_cache_that_cannot_be_locked_names_the_variable(cache: Path) -> None:
    folder = prepare(Given(TEXTS), progress=False).folder
    folder.rename(cache / "away")
    folder.with_name(f".{folder.name}.lock").mkdir()
    with pytest.raises(CarouselError, match=r"\.lock: cannot lock: .*; set CAROUSEL_CACHE to another folder"):
        prepare(Given(TEXTS), progress=False)


def test_a_real_folder_of_performances(asap: list[Path], tmp_path: Path) -> None:
    for number, path in enumerate(asap[::240]):
        (tmp_path / f"{number}.mid").write_bytes(path.read_bytes())
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    dataset = prepare(open_corpus(tmp_path), progress=False)
    assert dataset.tokenizer.kind == "performance"
    assert sum(len(dataset.split(name)) for name in dataset.splits) == 4
    assert [name for name, _ in dataset.skipped] == ["broken.mid"]


def test_a_dataset_is_built_anew_when_the_code_that_reads_pieces_changes() -> None:
    code = "import sys, generator.corpora.dataset as _\nfor name in sorted(sys.modules): print(name)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    modules = {
        Path(*name.split(".")[1:]).with_suffix(".py") for name in loaded.split() if name.startswith("generator.")
    }
    read = {path for path in modules if path.parent.name in ("tokenizers", "corpora", "music")}
    sources = {path.relative_to(ROOT / "generator") for path in _sources()}
    assert len(read) > 15
    assert read <= sources
    assert Path("corpora/batches.py") not in sources
