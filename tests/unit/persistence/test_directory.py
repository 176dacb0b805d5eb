"""What is special about a directory: where it is, what it refuses, and what it leaves on the disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from flowbook.exceptions import Damaged, FlowOwned, NewerSchema, NotALogbook, NotFound, NotPossible, OwnershipLost
from flowbook.persistence import fetch
from flowbook.persistence.backend import Backend, Claim, Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import LocalFiles
from flowbook.persistence.directory.lines import framed
from flowbook.persistence.inspection import Level
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import FLOW_ROW, begin, stranger
from flowbook.testing.files import CountingFiles, WrappedFiles


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[DirectoryBackend]:
    with DirectoryBackend(f"dir:{tmp_path}/runs") as backend:
        yield backend


def journals(backend: DirectoryBackend, flow: str = "f") -> list[str]:
    return sorted(name for name in os.listdir(f"{backend.path}/flow/{flow}") if name.startswith("epoch"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(path).decode().splitlines()]


def lines_of(path: Path) -> bytes:
    """Return a file without the room behind its last line."""
    return path.read_bytes().rstrip(b"\n") + b"\n"


# -- where it is --


@pytest.mark.parametrize("url", ["dir:{}/runs", "dir://{}/runs", "file:{}/runs", "file://{}/runs", "dir:{}/runs/"])
def test_an_absolute_path_may_be_written_as_in_urls_of_files(url: str, tmp_path: Path) -> None:
    backend = fetch(url.format(tmp_path))
    assert isinstance(backend, DirectoryBackend)
    assert backend.path == f"{tmp_path}/runs"


def test_a_path_without_a_slash_in_front_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with fetch("dir:some runs?timeout_s=3") as backend:
        begin(backend)
    assert (tmp_path / "some runs" / "flow" / "f").is_dir()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_mapping_may_name_the_path(kind: type, tmp_path: Path) -> None:
    backend = fetch({"connection": "dir", "path": kind(tmp_path / "runs")})
    assert isinstance(backend, DirectoryBackend)
    assert backend.path == f"{tmp_path}/runs"
    assert backend.url == f"dir:{tmp_path}/runs"


@pytest.mark.parametrize("url", ["dir:", "dir://", "dir:///", "dir:/", "dir:runs\0"])
def test_a_url_that_names_no_directory_is_refused(url: str) -> None:
    with pytest.raises(NotPossible, match="no directory") as caught:
        fetch(url)
    assert "dir:runs" in caught.value.todo


def test_two_slashes_name_a_host_and_are_refused() -> None:
    with pytest.raises(NotPossible, match="names a host") as caught:
        fetch("dir://runs/here")
    assert "dir:runs/here" in caught.value.todo


def test_an_unknown_option_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="'timeout'") as caught:
        fetch(f"dir:{tmp_path}?timeout=3")
    assert caught.value.todo == "did you mean 'timeout_s'?"


def test_the_directory_that_it_lies_in_must_exist(tmp_path: Path) -> None:
    for use in (lambda backend: backend.open(), lambda backend: backend.find(Query())):
        with pytest.raises(NotPossible, match="there is no directory") as caught:
            use(fetch(f"dir:{tmp_path}/no/runs"))
        assert caught.value.todo == "make it first"


def test_reading_makes_nothing(tmp_path: Path) -> None:
    backend = fetch(f"dir:{tmp_path}/runs")
    assert backend.find(Query()) == []
    with pytest.raises(NotFound):
        backend.load("f")
    with pytest.raises(OwnershipLost):
        backend.commit(Claim("flow:f", 1, 0), [])
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with fetch(f"dir:{tmp_path}/runs") as backend:
            claim = begin(backend)
            backend.post("flow:f", {"do": "suspend"})
            backend.renew(claim, lease_s=0)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    for use in (lambda backend: backend.open(), lambda backend: backend.find(Query())):
        with pytest.raises(NotALogbook) as caught:
            use(fetch(f"dir:{tmp_path}"))
        assert "letter.txt" in caught.value.why
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_in_its_place_is_refused_with_the_url_it_may_have_been(tmp_path: Path) -> None:
    (tmp_path / "runs.db").touch()
    with pytest.raises(NotPossible, match="is no directory") as caught:
        fetch(f"dir:{tmp_path}/runs.db").open()
    assert f"sqlite:///{tmp_path}/runs.db" in caught.value.todo


def test_an_empty_directory_becomes_a_logbook(tmp_path: Path) -> None:
    with fetch(f"dir:{tmp_path}") as backend:
        assert backend.find(Query()) == []
    assert documents(tmp_path / "logbook.json")[0]["format"] == 1


@pytest.mark.parametrize("name", ["logbook.json", "flow/f/epoch-000002.jsonl"])
def test_a_newer_format_is_refused_by_name(name: str, backend: DirectoryBackend) -> None:
    backend.renew(begin(backend), lease_s=0)
    path = Path(backend.path, name)
    line, _ = framed(json.dumps({**documents(path)[0], "format": 2}), 0)
    path.write_bytes(line)
    with pytest.raises(NewerSchema, match="newer version"):
        backend.load("f")


# -- what a run leaves --


def test_a_commit_is_one_line_and_one_epoch_one_journal(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    backend.commit(claim, [Put("atom", "a", {"n": 1}), Append("try", "a", {}), Delete("atom", "b")])
    (name,) = journals(backend)
    header, base, first, second = documents(Path(backend.path, "flow/f", name))
    assert (header["key"], header["epoch"], header["owner"]) == ("flow:f", 1, current_owner().to_row())
    assert (base["base"], first["seq"], second["seq"]) == (None, 1, 2)
    assert second["changes"] == [["put", "atom", "a", {"n": 1}], ["append", "try", "a", {}], ["delete", "atom", "b"]]


def test_a_run_that_is_given_up_is_one_snapshot_without_what_is_gone(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    for number in range(5):
        claim = backend.commit(claim, [Put("atom", "a", {"n": number}), Put("atom", "b", {}), Delete("atom", "b")])
    before = backend.load("f")
    backend.renew(claim, lease_s=0)
    (name,) = journals(backend)
    header, base, *records = documents(Path(backend.path, "flow/f", name))
    assert (header["epoch"], header["owner"], base["records"]) == (2, None, len(records))
    assert [record["changes"] for record in records] == [
        [["put", "flow", "f", FLOW_ROW]],
        [["put", "atom", "a", {"n": 4}]],
    ]
    assert backend.load("f") == before


def test_a_takeover_goes_on_from_what_it_found(backend: DirectoryBackend) -> None:
    first = backend.commit(begin(backend), [Put("atom", "a", {})])
    second = backend.claim("flow:f", stranger(), lease_s=60, take_over=True)
    size = len(lines_of(Path(backend.path, "flow/f", journals(backend)[0])))
    assert documents(Path(backend.path, "flow/f", journals(backend)[1]))[1]["base"] == {"epoch": 1, "size": size}
    with pytest.raises(OwnershipLost):
        backend.commit(first, [Put("atom", "stale", {})])
    backend.commit(second, [Put("atom", "b", {})])
    assert set(backend.load("f").kind("atom")) == {"a", "b"}


def test_names_are_looked_for_when_some_have_come_or_gone(tmp_path: Path) -> None:
    files = CountingFiles(LocalFiles())
    with DirectoryBackend(f"dir:{tmp_path}/runs", files=files) as backend:
        claim = begin(backend)
        folder = Path(backend.path, "flow/f")
        while time.time_ns() - folder.stat().st_ctime_ns < 150_000_000:
            claim = backend.commit(claim, [Put("atom", "a", {})])
        before = files.calls["is_at"]
        for _ in range(5):
            claim = backend.commit(claim, [Put("atom", "b", {})])
        assert files.calls["is_at"] == before
        backend.post("flow:f", {"do": "suspend"})
        before = files.calls["is_at"]
        claim = backend.commit(claim, [Put("atom", "c", {})])
        assert files.calls["is_at"] == before + 2
        with DirectoryBackend(f"dir:{tmp_path}/runs") as other:
            other.claim("flow:f", stranger(), lease_s=60, take_over=True)
            with pytest.raises(OwnershipLost):
                backend.commit(claim, [Put("atom", "stale", {})])


def test_what_a_stale_owner_appends_lies_behind_what_counts(backend: DirectoryBackend, tmp_path: Path) -> None:
    stale = begin(backend)
    with DirectoryBackend(f"dir:{backend.path}") as other:
        other.renew(other.claim("flow:f", stranger(), lease_s=60, take_over=True), lease_s=60)
        with pytest.raises(OwnershipLost):
            backend.commit(stale, [Put("atom", "stale", {})])
        assert set(other.load("f").rows) == {"flow"}


def test_lines_are_written_over_room_that_grows_with_them(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    sizes = []
    for number in range(1000):
        claim = backend.commit(claim, [Put("atom", str(number), {"say": "x" * 200})])
        sizes.append((path.stat().st_size, len(lines_of(path))))
    assert len({size for size, _ in sizes}) < 16  # how often the file grew
    assert all(size % 4096 == 0 and lines < size <= 2 * lines + 4096 for size, lines in sizes)
    assert sizes[-1][0] - sizes[-1][1] <= 64 * 1024 + 4096
    assert len(documents(path)) == 1000 + 3
    backend.renew(claim, lease_s=0)
    (snapshot,) = journals(backend)
    data = Path(backend.path, "flow/f", snapshot).read_bytes()
    assert data.endswith(b"}\n")  # nothing is ever added to it


def test_a_torn_tail_is_left_out_and_cut_by_the_next_writer(backend: DirectoryBackend) -> None:
    claim = backend.commit(begin(backend), [Put("atom", "a", {})])
    path = Path(backend.path, "flow/f", journals(backend)[0])
    whole = lines_of(path)
    path.write_bytes(whole + b'{"crc":"0123' + b"\n" * 100)
    assert set(backend.load("f").kind("atom")) == {"a"}
    backend.commit(claim, [Put("atom", "b", {})])
    assert lines_of(path).startswith(whole)
    assert b'"0123' not in path.read_bytes()
    assert set(backend.load("f").kind("atom")) == {"a", "b"}


def test_a_claim_that_was_never_finished_does_not_count(backend: DirectoryBackend) -> None:
    begin(backend)
    folder = Path(backend.path, "flow/f")
    header = {**documents(folder / "epoch-000001.jsonl")[0], "epoch": 2, "owner": stranger().to_row()}
    (folder / "epoch-000002.jsonl").write_bytes(framed(json.dumps({**header, "lease_until": 0.0}), 0)[0])
    assert backend.load("f").kind("flow")["f"] == FLOW_ROW
    claim = backend.claim("flow:f", current_owner(), lease_s=60)
    assert claim.epoch == 3
    assert documents(folder / "epoch-000003.jsonl")[1]["base"]["epoch"] == 1


def test_a_damaged_run_is_named_and_the_others_go_on(backend: DirectoryBackend) -> None:
    for flow in ("f", "g"):
        backend.renew(begin(backend, flow), lease_s=0)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    path.write_bytes(path.read_bytes().replace(b"orders", b"0rders"))
    with pytest.raises(Damaged) as caught:
        backend.load("f")
    assert caught.value.where.endswith("/flow/f/epoch-000002.jsonl")
    assert {found.flow: found.state for found in backend.find(Query())} == {"f": "DAMAGED", "g": "RUNNING"}
    assert backend.load("g").kind("flow")


def test_a_run_of_thousands_of_lines_is_summed_up_by_its_newest_flow_record(backend: DirectoryBackend) -> None:
    claim = begin(backend, created_at=5.0)
    claim = backend.commit(claim, [Put("atom", str(number), {"say": '["put","flow",'}) for number in range(1000)])
    claim = backend.commit(claim, [Put("flow", "f", {**FLOW_ROW, "state": "SUSPENDED"})])
    claim = backend.commit(claim, [Put("atom", str(number), {"say": [["put", "flow", "f"]]}) for number in range(9)])
    (found,) = backend.find(Query())
    assert (found.state, found.owner) == ("SUSPENDED", current_owner())
    backend.renew(claim, lease_s=0)
    (found,) = backend.find(Query())
    assert (found.state, found.owner) == ("SUSPENDED", None)


def test_a_long_lease_is_not_written_down_at_each_renewal(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    lines = lines_of(path)
    for _ in range(5):
        backend.renew(claim, lease_s=60)
    assert lines_of(path) == lines
    backend.renew(claim, lease_s=600)
    assert documents(path)[-1]["lease_until"] > 0


def test_a_destroyed_run_leaves_no_file_of_its_own(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    backend.renew(claim, lease_s=0)
    backend.destroy("f")
    left = sorted(str(path.relative_to(backend.path)) for path in Path(backend.path).rglob("*"))
    assert left == ["destroyed", "destroyed/000003", "flow", "living", "logbook.json"]


def test_a_damaged_run_can_be_destroyed(backend: DirectoryBackend) -> None:
    for flow in ("f", "g"):
        backend.renew(begin(backend, flow), lease_s=0)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    path.write_bytes(path.read_bytes().replace(b"orders", b"0rders"))
    backend.destroy("f")
    assert [found.flow for found in backend.find(Query())] == ["g"]
    with pytest.raises(NotFound):
        backend.destroy("f")
    assert begin(backend).epoch > 2


def test_a_run_that_is_claimed_while_its_files_are_removed_is_another_one(backend: DirectoryBackend) -> None:
    backend.renew(begin(backend), lease_s=0)
    folder = Path(backend.path, "flow/f")
    removing = backend._root.remove  # the moment between what is decided and what is removed

    def claimed_in_between(*given: Any) -> None:
        claims.append(begin(other, state="PENDING"))
        removing(*given)

    claims: list[Claim] = []
    with DirectoryBackend(f"dir:{backend.path}") as other:
        backend._root.remove = claimed_in_between  # type: ignore[method-assign]
        backend.destroy("f")
        other.commit(claims[0], [Put("atom", "a", {})])
        assert set(other.load("f").rows) == {"flow", "atom"}
        assert len(list(folder.iterdir())) == 1


def test_a_request_that_outlived_its_answer_is_not_heard_again(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    backend.post("flow:f", {"do": "suspend"})
    (request,) = backend.renew(claim, lease_s=60)
    path = Path(backend.path, "flow/f", f"request-{request.id}.json")
    kept = path.read_bytes()
    backend.commit(claim, [Delete("request", request.id)])
    path.write_bytes(kept)  # as if the owner had died before it removed it
    claim = backend.claim("flow:f", current_owner(), lease_s=60)
    assert list(backend.renew(claim, lease_s=60)) == []
    assert not path.exists()


def test_what_does_not_fit_behind_an_open_journal_is_named(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    path.write_bytes(lines_of(path) + b"nonsense\nmore\n")
    for use in (lambda: backend.commit(claim, []), lambda: backend.renew(claim, lease_s=60)):
        with pytest.raises(Damaged):
            use()


def test_giving_up_what_was_lost_leaves_no_descriptor_open(backend: DirectoryBackend) -> None:
    with DirectoryBackend(f"dir:{backend.path}") as other:
        for number in range(5):
            claim = begin(backend, f"f{number}")
            other.claim(f"flow:f{number}", stranger(), lease_s=60, take_over=True)
            other.close()
            backend.renew(claim, lease_s=0)
    assert _open_journals() == []


def test_the_summary_of_a_run_whose_values_speak_of_flows_is_found_in_one_pass(backend: DirectoryBackend) -> None:
    claim = begin(backend)
    value = ["put", "flow", ["put", "flow", "x", {}], '["put","flow",']
    for number in range(300):
        claim = backend.commit(claim, [Put("atom", str(number), {"says": value})])
    (found,) = backend.find(Query())
    assert found.state == "RUNNING"
    assert backend.load("f", ("flow",)).rows == {"flow": {"f": FLOW_ROW}}


def test_a_forked_child_holds_no_journal_of_its_parent(backend: DirectoryBackend) -> None:
    begin(backend)
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_tell_open_journals, args=(theirs,))
    child.start()
    assert ours.recv() == []
    child.join()
    assert _open_journals()


def _tell_open_journals(pipe: Any) -> None:  # a multiprocessing connection
    pipe.send(_open_journals())
    pipe.close()


def _open_journals() -> list[str]:
    names = [os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd") if _is_open(one)]
    return [name for name in names if name.endswith(".jsonl")]


def _is_open(descriptor: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{descriptor}")


def test_closing_gives_all_descriptors_back(backend: DirectoryBackend) -> None:
    begin(backend)
    assert _open_journals()
    backend.close()
    assert _open_journals() == []


# -- its health --


def test_a_sound_directory_has_nothing_but_good_findings(backend: Backend) -> None:
    assert isinstance(backend, DirectoryBackend)
    begin(backend)
    backend.post("flow:f", {"do": "suspend"})
    assert {finding.level for finding in backend.inspect()} == {Level.OK}


def test_damage_leftovers_and_modes_are_findings(backend: DirectoryBackend) -> None:
    backend.renew(begin(backend), lease_s=0)
    backend.renew(begin(backend, "g"), lease_s=0)
    path = Path(backend.path, "flow/f", journals(backend)[0])
    path.write_bytes(path.read_bytes()[:-1])
    Path(backend.path, "flow/g/epoch-000003.jsonl.01234567.new").touch()
    Path(backend.path).chmod(0o755)
    found = {(finding.level, Path(finding.where).name) for finding in backend.inspect()}
    assert found == {
        (Level.WARN, "runs"),
        (Level.FAIL, "epoch-000002.jsonl"),
        (Level.WARN, "epoch-000003.jsonl.01234567.new"),
    }
    assert all(finding.fix for finding in backend.inspect())


class FilesWithCompany(WrappedFiles):
    """Lets others come and go before the first file is made."""

    def __init__(self, company: Callable[[], object]) -> None:
        super().__init__(LocalFiles())
        self._company = company

    def create(self, folder: int, name: str) -> int:
        company, self._company = self._company, lambda: None
        company()
        return super().create(folder, name)


def test_a_run_that_others_worked_on_meanwhile_is_not_taken_for_destroyed(backend: DirectoryBackend) -> None:
    backend.renew(begin(backend), lease_s=0)
    with DirectoryBackend(f"dir:{backend.path}") as other:

        def come_and_go() -> None:
            other.renew(begin(other, state="SUSPENDED"), lease_s=0)
            begin(other, state="RUNNING")

        with pytest.raises(FlowOwned):
            DirectoryBackend(f"dir:{backend.path}", files=FilesWithCompany(come_and_go)).destroy("f")
    assert backend.load("f").kind("flow")["f"]["state"] == "RUNNING"
