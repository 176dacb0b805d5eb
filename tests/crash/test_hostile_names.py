"""Whatever a run is called, and whatever lies in its way: nothing outside a logbook's directory is touched."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.flows import Step
from flowbook import LinearFlow, engines
from flowbook.exceptions import (
    Damaged,
    EncodeError,
    FactoryMissing,
    FactoryRefused,
    FlowbookError,
    FlowOwned,
    NotFound,
    UsageError,
)
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.names import LONGEST
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import begin, ids, stranger

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

NAMES = [
    *("", ".", "..", "...", "-", "--", "-rf", "~", "~root", "%", "%2E", "%2E%2E", "%2e", "%00", "%%", " ", "  ", "\t"),
    *("../x", "../../x", "/etc/passwd", "/", "//", "a/b", "a/../../b", "a\\b", "C:\\x", ".hidden", "-x", "a.", "a "),
    *("\0", "a\0b", "\n", "a\nb", "\r\n", "\x1b[31m", "\x7f", "\u2028", "\u202e", "\ufeff", "\ufffd", "\uffff"),
    *("CON", "con", "NUL", "nul.txt", "COM1", "aux", "A", "a", "İ", "\u0131", "ß", "ss", "ﬁ", "fi", "Å", "Å", "Å"),
    *("é", "e\u0301", "한", unicodedata.normalize("NFD", "한"), "😀", "👩\u200d👩", "\ud800", "\udcff", "a\udc80b"),
    *("logbook.json", "living", "trash", "destroyed", "flow", "epoch-000001.jsonl", "request-1.json", "r.new"),
    *("x" * 119, "x" * 120, "x" * 200, "x" * 201, "x" * 300, "x" * 299 + "y", "x" * 10_000, "é" * 300, "/" * 10_000),
    *("x" * 120 + "~" + "0" * 40, "*", "?", "a:b", "flow:a", "$(id)", "`id`", "; rm -rf /", "'", '"', "{}", "[1]"),
]
TWO_FOR_ONE = ["\ud83d\ude00", "a\ud83d\ude00b"]
"""Two surrogates that JSON takes for one character."""


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Return all there is below a folder: modes, contents of files, and where links lead."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        what: bytes | str = ""
        if stat.S_ISLNK(mode):
            what = os.readlink(path)
        elif stat.S_ISREG(mode):
            what = path.read_bytes()
        found[str(path.relative_to(folder))] = mode, what
    return found


class Place:
    """A directory for a logbook, with things around it that must stay as they are."""

    def __init__(self, around: Path) -> None:
        self.around = around
        for name in ("x", "b", "runs.new", "flow"):
            (around / name).mkdir()
            (around / name / "precious").write_text("precious")
        self.path = around / "deep" / "runs"
        self.path.parent.mkdir()
        self.before = self.outside()
        self.backend = DirectoryBackend(f"dir:{self.path}")

    def outside(self) -> dict[str, tuple[int, bytes | str]]:
        return {name: what for name, what in tree(self.around).items() if not name.startswith("deep/runs")}


@pytest.fixture
def place(new_folder: Callable[[], Path]) -> Iterator[Place]:
    place = Place(new_folder())
    yield place
    place.backend.close()
    assert place.outside() == place.before


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_a_run_of_any_name_is_found_read_and_destroyed(place: Place, name: str) -> None:
    backend = place.backend
    begin(backend, "beside")
    claim = begin(backend, name, name="its own")
    backend.post(f"flow:{name}", {"do": name})
    claim = backend.commit(claim, [Put("atom", name, {"symbol": name}), Append("attempt", name, {name: name})])
    backend.close()
    records = backend.load(name)
    assert records.kind("atom") == {name: {"symbol": name}}
    assert records.appended["attempt"] == {name: [{name: name}]}
    assert [row["do"] for row in records.kind("request").values()] == [name]
    assert name in ids(backend, Query(prefix=name))
    claim = backend.claim(f"flow:{name}", stranger(), lease_s=1000, take_over=True)
    backend.renew(backend.commit(claim, [Delete("atom", name)]), lease_s=0)
    assert backend.load(name).kind("atom") == {}
    backend.destroy(name)
    with pytest.raises(NotFound):
        backend.load(name)
    assert ids(backend, Query()) == ["beside"]


def test_runs_of_all_names_lie_side_by_side(place: Place) -> None:
    names = sorted(set(NAMES))
    for name in names:
        begin(place.backend, name, name=f"of {name!a}")
    place.backend.close()
    folders = os.listdir(place.path / "flow")
    assert len(folders) == len(names)
    assert len({unicodedata.normalize("NFC", folder) for folder in folders}) == len(names)
    assert all(folder.isascii() and len(folder) <= LONGEST and folder[0] != "." for folder in folders)
    found = place.backend.find(Query())
    assert {one.flow: one.name for one in found} == {name: f"of {name!a}" for name in names}
    assert {name: place.backend.load(name).kind("flow")[name]["name"] for name in names} == {
        name: f"of {name!a}" for name in names
    }


@pytest.mark.parametrize("name", TWO_FOR_ONE, ids=ascii)
def test_what_json_would_take_for_another_name_is_refused(place: Place, name: str) -> None:
    uses: list[Callable[[], object]] = [
        lambda: place.backend.claim(f"flow:{name}", stranger(), lease_s=1),
        lambda: place.backend.commit(begin(place.backend, "r"), [Put("atom", name, {})]),
    ]
    for use in uses:
        with pytest.raises(EncodeError) as raised:
            use()
        assert ascii(name)[1:-1] in str(raised.value)
    assert ids(place.backend, Query()) == ["r"]


@pytest.mark.parametrize("name", [name for name in NAMES if name], ids=lambda name: ascii(name)[:24])
def test_books_flows_atoms_and_symbols_of_any_name_are_run_or_refused(place: Place, name: str) -> None:
    try:
        flow = LinearFlow(name).add(Step(name))
        engines.run(flow, {"log": str(place.path.parent / "runs.log")}, backend=place.backend, run_id="r", book=name)
    except UsageError:
        return
    (found,) = place.backend.find(Query(book=name))
    assert (found.flow, found.book, found.name, found.state) == ("r", name, name, "SUCCESS")
    assert name in place.backend.load("r").kind("atom")


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_only_its_owner_may_read_it_whatever_the_umask(place: Place, mask: int) -> None:
    before = os.umask(mask)
    try:
        for name in ("kept", "gone"):
            claim = begin(place.backend, name)
            place.backend.post(f"flow:{name}", {"do": "suspend"})
            place.backend.renew(claim, lease_s=0)
        place.backend.destroy("gone")
        begin(place.backend, "kept")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(mode) for _, (mode, _) in tree(place.path).items() if stat.S_ISREG(mode)}
    folders = {stat.S_IMODE(mode) for _, (mode, _) in tree(place.path).items() if stat.S_ISDIR(mode)}
    assert (modes, folders, stat.S_IMODE(place.path.stat().st_mode)) == ({0o600}, {0o700}, 0o700)


# -- symbolic links, and other things in the way --

INSIDE = ["flow/r", "flow/r/epoch-000001.jsonl", "flow/r/epoch-000002.jsonl", "flow/r/epoch-000009.jsonl"]
REQUEST = "flow/r/request-00000000000000000001.json"
OF_ALL = ["logbook.json", "living", "flow", "destroyed", "trash"]


def _link_to_a_file(place: Place, at: Path) -> None:
    at.symlink_to(place.around / "x" / "precious")


def _link_to_a_folder(place: Place, at: Path) -> None:
    at.symlink_to(place.around / "x", target_is_directory=True)


def _link_to_nothing(place: Place, at: Path) -> None:
    at.symlink_to(place.around / "x" / "nothing")


def _link_to_itself(place: Place, at: Path) -> None:
    at.symlink_to(at)


def _folder(place: Place, at: Path) -> None:
    at.mkdir()


def _pipe(place: Place, at: Path) -> None:
    os.mkfifo(at)


OBSTACLES = [_link_to_a_file, _link_to_a_folder, _link_to_nothing, _link_to_itself, _folder, _pipe]


def _use(place: Place) -> list[str]:
    """Do all there is to do with a run; return the errors."""
    backend, errors = place.backend, []

    def claim() -> None:
        backend.renew(backend.claim("flow:r", current_owner(), lease_s=0, take_over=True), lease_s=0)

    for verb in (
        lambda: backend.load("r"),
        lambda: backend.find(Query()),
        lambda: backend.post("flow:r", {"do": "suspend"}),
        lambda: begin(backend, "r"),
        claim,
        lambda: backend.destroy("r"),
    ):
        try:
            verb()
        except FlowbookError as error:
            is_told = str(place.path) in error.where or isinstance(error, NotFound | FlowOwned)
            errors.append(type(error).__name__ if is_told else f"{error!r} does not say where")
    backend.close()
    return errors


@pytest.mark.parametrize("put", OBSTACLES, ids=lambda put: put.__name__)
@pytest.mark.parametrize("name", [*INSIDE, REQUEST, *OF_ALL])
def test_what_is_in_the_way_is_neither_followed_nor_overwritten(
    place: Place, name: str, put: Callable[[Place, Path], None]
) -> None:
    begin(place.backend, "other")
    place.backend.renew(begin(place.backend, "other"), lease_s=0)
    begin(place.backend, "r")
    place.backend.close()
    at = place.path / name
    if at.is_dir():
        at.rename(place.path.parent / "runs.away")
    else:
        at.unlink(missing_ok=True)
    put(place, at)
    is_of_a_run = name in (*INSIDE, REQUEST)
    if is_of_a_run:
        assert {one.flow for one in place.backend.find(Query())} >= {"other"}
        assert place.backend.load("other").flow == "other"
    if name in INSIDE[:2] and put is not _folder:
        assert {one.flow: one.state for one in place.backend.find(Query())}["r"] == "DAMAGED"
        with pytest.raises(Damaged):
            place.backend.load("r")
    errors = _use(place)
    assert {*errors} <= {"Damaged", "FlowOwned", "NotFound", "NotALogbook"}
    is_harmless = name in (REQUEST, *OF_ALL) and put in (_folder, _pipe)
    assert errors or is_harmless or name in ("destroyed", "trash", REQUEST)
    if is_of_a_run:
        assert place.backend.load("other").flow == "other"


def test_the_logbook_itself_may_lie_behind_a_link(place: Place) -> None:
    (place.path.parent / "runs").symlink_to(place.path.parent / "runs.real")
    (place.path.parent / "runs.real").mkdir(mode=0o700)
    begin(place.backend, "r")
    assert place.backend.load("r").flow == "r"
    assert sorted(os.listdir(place.path.parent / "runs.real")) == ["flow", "living", "logbook.json"]


# -- nothing that is stored is executed --

PICKLED = "gASVIQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAZ0b3VjaCB4lIWUUpQu"  # os.system("touch x")
EVIL: list[dict[str, Any]] = [
    {"module": "os", "name": "system", "kwargs": {"command": "touch executed"}},
    {"module": "", "name": "os:system", "args": ["touch executed"]},
    {"module": "__import__('os').system('touch executed')", "name": ""},
    {"module": "pickle", "name": "loads", "args": [{"!bytes": PICKLED}]},
    {"module": "", "path": "/bin/sh", "name": "touch executed"},
]


@pytest.mark.parametrize("factory", EVIL, ids=lambda factory: str(factory["name"]))
def test_what_is_stored_is_not_executed(place: Place, factory: dict[str, Any]) -> None:
    log = str(place.path.parent / "runs.log")
    engine = engines.load(LinearFlow("f").add(Step("s")), {"log": log}, backend=place.backend, run_id="r")
    engine.notifier.register("RUNNING", lambda notice: engine.suspend())
    engine.run()
    row = place.backend.load("r").kind("flow")["r"]
    claim = place.backend.claim("flow:r", current_owner(), lease_s=10)
    evil = {**row, "factory": {"args": [], "kwargs": {}, "path": "", "digest": "", **factory}}
    changes = [Put("flow", "r", evil), Put("atom", "s", {"result": {"!pickle": PICKLED}, "state": "os:system"})]
    place.backend.renew(place.backend.commit(claim, changes), lease_s=0)
    with pytest.raises(FlowbookError) as raised:
        engines.resume(place.backend, "r", allow=[__name__])
    assert isinstance(raised.value, FactoryRefused | FactoryMissing | Damaged)
    assert place.backend.load("r").kind("flow")["r"] == evil
    assert not Path("executed").exists()
    assert not Path("x").exists()
