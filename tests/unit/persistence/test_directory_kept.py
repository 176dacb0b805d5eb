"""What a process wrote into a journal of a directory itself: it is summed up without being read again."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowbook.exceptions import StorageUnavailable
from flowbook.persistence.backend import Claim, Fence
from flowbook.persistence.changes import Append, Change, Delete, Inline, Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import LocalFiles
from flowbook.persistence.directory.journal import Base, Header, Journal
from flowbook.persistence.directory.kept import Kept
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import begin, stranger
from flowbook.testing.files import CountingFiles, FailingFiles

COMMITS: Sequence[Sequence[Change]] = (
    [Put("atom", "a", {"n": 1, "at": 0.1}), Put("atom", "b", {}), Append("attempt", "a", {"n": None})],
    [Put("atom", "é\n\ud800", {"100 %": "\ud800", "of": Inline(text='{"nested":["}]"]}')}), Delete("atom", "a")],
    [Put("atom", "a", {"n": -0.0, "is": True}), Append("attempt", "a", {"n": float("inf")}), Put("new kind", '"', {})],
    [Append("attempt", "b", {}), Delete("attempt", "b"), Delete("atom", "b"), Delete("request", "7")],
)


@pytest.fixture
def files() -> CountingFiles:
    return CountingFiles(LocalFiles())


@pytest.fixture
def backend(tmp_path: Path, files: CountingFiles) -> Iterator[DirectoryBackend]:
    with DirectoryBackend(f"dir:{tmp_path}/runs", files=files) as backend:
        yield backend


def written(backend: DirectoryBackend, flow: str = "f") -> Claim:
    claim = begin(backend, flow)
    for changes in COMMITS:
        claim = backend.commit(claim, changes)
    return claim


def summary(backend: DirectoryBackend, flow: str = "f") -> list[Any]:
    """Return all lines of a snapshot but the first, without their checksums."""
    (path,) = Path(backend.path, "flow", flow).iterdir()
    return [dict(json.loads(line), crc="") for line in path.read_text().splitlines()[1:]]


def test_it_is_summed_up_as_though_it_had_been_read(backend: DirectoryBackend, files: CountingFiles) -> None:
    kept, read = written(backend), written(backend, "g")
    before = files.calls["read"]
    backend.renew(kept, lease_s=0)
    assert files.calls["read"] == before + 1  # whether nothing was added
    backend.close()
    before = files.calls["read"]
    backend.renew(read, lease_s=0)
    assert files.calls["read"] > before + 1
    assert json.dumps(summary(backend)) == json.dumps(summary(backend, "g")).replace('"g"', '"f"')
    assert len(summary(backend)) > 5


def test_a_prolonged_lease_is_no_gap(backend: DirectoryBackend, files: CountingFiles) -> None:
    claim = begin(backend)
    backend.renew(claim, lease_s=6000)
    claim = backend.commit(claim, [Put("atom", "a", {})])
    before = files.calls["read"]
    backend.renew(claim, lease_s=0)
    assert files.calls["read"] == before + 1
    assert set(backend.load("f").kind("atom")) == {"a"}


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_others_wrote_beside_it_is_not_forgotten(backend: DirectoryBackend, *, goes_on: bool) -> None:
    claim = written(backend)
    with DirectoryBackend(f"dir:{backend.path}") as other:
        other.commit(claim, [Put("atom", "of another", {})], fence=Fence.EPOCH)
    if goes_on:
        claim = backend.commit(claim, [Put("atom", "after it", {})])
    before = backend.load("f")
    backend.renew(claim, lease_s=0)
    assert backend.load("f") == before
    assert "of another" in before.kind("atom")


def test_a_commit_of_which_nobody_knew_is_not_forgotten(tmp_path: Path) -> None:
    files = FailingFiles(LocalFiles(), error=errno.EIO, verbs=["sync"])
    with DirectoryBackend(f"dir:{tmp_path}/runs", files=files) as backend:
        claim = begin(backend)
        files.fail(at=files.count + 1)
        with pytest.raises(StorageUnavailable):
            backend.commit(claim, [Put("atom", "a", {})])
        assert set(backend.load("f").kind("atom")) == {"a"}  # a newer owner would go on from it
        backend.renew(claim, lease_s=0)
        assert set(backend.load("f").kind("atom")) == {"a"}


def test_a_run_that_was_resumed_is_summed_up_with_what_it_went_on_from(backend: DirectoryBackend) -> None:
    written(backend)
    claim = backend.claim("flow:f", stranger(), lease_s=60, take_over=True)
    claim = backend.commit(claim, [Put("atom", "c", {})])
    before = backend.load("f")
    backend.renew(claim, lease_s=0)
    assert backend.load("f") == before
    assert {"a", "c"} < set(before.kind("atom"))


BEGINNING = Base(None, 0, 0, ("5",))
PUT = [Put("atom", "a", {})]
TEXTS = ['["put","atom","a",{}]']


def journal_at(end: int, base: Base | None = BEGINNING, commits: int = 0) -> Journal:
    return Journal(Header("flow:f", 3, current_owner(), 1.0, 2.0), base, end=end, commits=commits)


def test_a_gap_is_never_closed_again() -> None:
    kept = Kept(journal_at(100))
    kept.add(100, 200, PUT, TEXTS)
    assert kept.are_all(journal_at(200))
    assert (list(kept.texts()), kept.answered) == (TEXTS, {"5"})
    kept.add(201, 300, PUT, TEXTS)
    kept.add(300, 400, PUT, TEXTS)
    assert not any(kept.are_all(journal_at(end)) for end in (300, 400))


def test_what_an_interrupt_cut_short_is_not_all() -> None:
    kept = Kept(journal_at(100))
    with pytest.raises(ValueError, match="zip"):
        kept.add(100, 200, PUT * 2, TEXTS)
    assert not kept.are_all(journal_at(200))


def test_too_much_for_the_memory_is_let_go() -> None:
    kept = Kept(journal_at(100))
    kept.add(100, 200, PUT, TEXTS)
    kept.add(200, 20_000_000, PUT, TEXTS)
    kept.add(20_000_000, 20_000_100, PUT, TEXTS)
    assert not kept.are_all(journal_at(20_000_100))
    assert not list(kept.texts())


@pytest.mark.parametrize(
    "journal", [journal_at(100, None), journal_at(100, Base(2, 50, 0)), journal_at(100, commits=1)]
)
def test_where_there_was_something_before_nothing_is_kept(journal: Journal) -> None:
    assert not Kept(journal).are_all(journal)
