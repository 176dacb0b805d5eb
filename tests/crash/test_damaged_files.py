"""Whatever happens to a file of a logbook in a directory: a named error or an earlier commit, and other runs go on.

All of it runs with ``FLOWBOOK_FULL=1``, else a sample that is always the same.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from crash.damaging import RUNS, Logbook, documents_of, rewritten, run_of

LIVE = "flow/live/epoch-000002.jsonl"
pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

BASE = "flow/live/epoch-000001.jsonl"
SNAPSHOT = "flow/done/epoch-000002.jsonl"
MARK = "logbook.json"
SAMPLE = 60

_One = TypeVar("_One")


@pytest.fixture
def logbook(new_folder: Callable[[], Path]) -> Logbook:
    return Logbook(new_folder() / "runs")


def some(of: Iterable[_One], name: str, *, full: bool, count: int = SAMPLE) -> Sequence[_One]:
    """Return all, or a few that depend on ``name`` alone."""
    every = list(of)
    return every if full else random.Random(name).sample(every, min(count, len(every)))


def judge(logbook: Logbook, damaged: str, *, may_be_earlier: bool, about: object) -> str:
    """Check what is told of a logbook with one damaged file; return what came of the run that the file is of."""
    run = run_of(damaged)
    if run is None:
        for other in RUNS:
            assert logbook.read(other) in ("Damaged", "NewerSchema"), about
        return "Damaged"
    for other in RUNS:
        if other != run:
            assert logbook.read(other) == logbook.history[other][-1], about
    read, found = logbook.read(run), logbook.find()
    if read == "NotFound":  # the first commit is gone
        assert may_be_earlier, about
        assert read in logbook.history[run], about
        found[run] = read
    assert found.keys() == logbook.found.keys(), about
    assert all(found[other] == logbook.found[other] for other in RUNS if other != run), about
    if read not in ("Damaged", "NewerSchema", "NotFound"):
        assert may_be_earlier, f"{about}: read as {read}"
        assert _without_requests(read) in map(_without_requests, logbook.history[run]), f"{about}: read as {read}"
        assert found[run] == logbook.found[run], about
        return "an earlier commit"
    return read


def _without_requests(text: str) -> str:
    rows, appended = json.loads(text)
    rows.pop("request", None)
    return json.dumps([rows, appended], sort_keys=True)


def _files() -> list[str]:
    return [
        "flow/claimed/epoch-000001.jsonl",
        "flow/claimed/epoch-000002.jsonl",
        SNAPSHOT,
        BASE,
        LIVE,
        "request",
        MARK,
    ]


def without_room(data: bytes) -> bytes:
    """Return a file up to the end of its last line."""
    return data.rstrip(b"\n") + b"\n"


@pytest.fixture
def name(request: pytest.FixtureRequest, logbook: Logbook) -> str:
    """The name of the file that is damaged."""
    if request.param != "request":
        return str(request.param)
    (name,) = (name for name in logbook.files if "/request-" in name)
    return name


each_file = pytest.mark.parametrize("name", _files(), indirect=True)


def test_the_logbook_has_these_files(logbook: Logbook) -> None:
    names = {"request" if "/request-" in name else name for name in logbook.files}
    assert names == set(_files())
    assert logbook.found == dict.fromkeys(RUNS, "RUNNING") | {"done": "SUCCESS"}
    assert {run: logbook.read(run) for run in RUNS} == {run: states[-1] for run, states in logbook.history.items()}


@each_file
def test_a_file_cut_anywhere(logbook: Logbook, name: str, figures: Counter[str], full: bool) -> None:
    data = without_room(logbook.files[name])
    is_at_work = name == LIVE or "/claimed/" in name or "/request-" in name
    for size in some(range(len(data)), name, full=full):
        logbook.write(name, data[:size])
        came = judge(logbook, name, may_be_earlier=is_at_work, about=f"{name} cut at {size}")
        figures[f"files cut: {came}"] += 1


@each_file
def test_a_bit_flipped_anywhere(logbook: Logbook, name: str, figures: Counter[str], full: bool) -> None:
    data = without_room(logbook.files[name])
    for position, bit in some(itertools.product(range(len(data)), range(8)), name, full=full, count=2 * SAMPLE):
        altered = bytearray(data)
        altered[position] ^= 1 << bit
        logbook.write(name, bytes(altered))
        came = judge(logbook, name, may_be_earlier=False, about=f"{name}: bit {bit} of byte {position}")
        figures[f"bits flipped: {came}"] += 1


@pytest.mark.parametrize("name", [BASE, LIVE])
def test_room_behind_the_lines_that_is_cut_or_altered_loses_nothing(
    logbook: Logbook, name: str, figures: Counter[str], full: bool
) -> None:
    data, run = logbook.files[name], run_of(name)
    assert run is not None
    room = range(len(without_room(data)), len(data))
    for position in some(room, name, full=full):
        logbook.write(name, data[:position])
        assert logbook.read(run) == logbook.history[run][-1], f"{name} cut at {position}"
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        logbook.write(name, bytes(altered))
        came = logbook.read(run)
        assert came in ("Damaged", logbook.history[run][-1]), f"{name}: bit {position % 8} of byte {position}"
        figures["bits flipped in room"] += 1


def _rearranged(lines: list[bytes], strange: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    for i in range(len(lines)):
        yield f"line {i} removed", lines[:i] + lines[i + 1 :]
        yield f"line {i} twice", lines[: i + 1] + lines[i:]
        yield f"line {i} without its end", [*lines[:i], lines[i][:-1], *lines[i + 1 :]]
        yield f"an empty line before line {i}", [*lines[:i], b"\n", *lines[i:]]
        for j in range(i):
            swapped = [*lines]
            swapped[i], swapped[j] = swapped[j], swapped[i]
            yield f"lines {i} and {j} swapped", swapped
        for k, other in enumerate(strange):
            yield f"line {i} replaced by line {k} of another run", [*lines[:i], other, *lines[i + 1 :]]
            yield f"line {k} of another run behind line {i}", [*lines[: i + 1], other, *lines[i + 1 :]]


@each_file
def test_lines_moved_about(logbook: Logbook, name: str, figures: Counter[str], full: bool) -> None:
    lines, strange = (
        without_room(logbook.files[one]).splitlines(keepends=True)
        for one in (name, LIVE if "/live/" not in name else SNAPSHOT)
    )
    for what, moved in some(_rearranged(lines, strange), name, full=full):
        if moved == lines:
            continue
        is_a_cut = b"".join(lines).startswith(b"".join(moved))
        may_be_earlier = is_a_cut and (name == LIVE or "/claimed/" in name or "/request-" in name)
        may_be_earlier |= name == BASE and moved[: len(lines)] == lines  # what lies behind the part that counts
        logbook.write(name, b"".join(moved))
        came = judge(logbook, name, may_be_earlier=may_be_earlier, about=f"{name}: {what}")
        figures[f"lines moved: {came}"] += 1


@pytest.mark.parametrize("one", RUNS)
@pytest.mark.parametrize("other", RUNS)
def test_folders_renamed_into_each_other_are_told_apart(logbook: Logbook, one: str, other: str) -> None:
    if one == other:
        return
    flows = logbook.path / "flow"
    (flows / one).rename(flows / "meanwhile")
    (flows / other).rename(flows / one)
    (flows / "meanwhile").rename(flows / other)
    states = {run: "DAMAGED" if run in (one, other) else logbook.found[run] for run in RUNS}
    assert logbook.find() == states
    assert {run: logbook.read(run) for run in RUNS} == {
        run: "Damaged" if run in (one, other) else logbook.history[run][-1] for run in RUNS
    }


@each_file
def test_the_file_of_another_run(logbook: Logbook, name: str, figures: Counter[str]) -> None:
    for other, data in logbook.files.items():
        if other != name:
            logbook.write(name, data)
            judge(logbook, name, may_be_earlier=False, about=f"{other} in place of {name}")
            figures["files put in place of others"] += 1


DEEP = "[" * 100_000 + "]" * 100_000
VALUES = [
    "null",
    "true",
    "-1",
    "2",
    "0.5",
    "1" + "0" * 400,
    "1e999",
    "NaN",
    '"x"',
    '"\\ud800"',
    "[]",
    "{}",
    "[[]]",
    DEEP,
]


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where a value stands in a document, itself and all in it."""
    yield path
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _text(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def _with(document: Any, path: tuple[Any, ...], text: str) -> str:
    """Return the document as text, with another value at one place."""
    if not path:
        return text
    key, *rest = path
    items = document.items() if isinstance(document, dict) else enumerate(document)
    parts = [_with(inner, tuple(rest), text) if at == key else _text(inner) for at, inner in items]
    if isinstance(document, list):
        return f"[{','.join(parts)}]"
    return "{" + ",".join(f"{_text(at)}:{part}" for at, part in zip(document, parts, strict=True)) + "}"


@each_file
def test_values_of_the_wrong_type_with_the_right_checksum(
    logbook: Logbook, name: str, figures: Counter[str], full: bool
) -> None:
    documents = documents_of(logbook.files[name])
    texts = [_text(document) for document in documents]
    places = [(i, path) for i, document in enumerate(documents) for path in _places(document) if path]
    for (i, path), value in some(itertools.product(places, VALUES), name, full=full, count=2 * SAMPLE):
        about = f"{name}: line {i}, {path} is {value[:20]}"
        logbook.write(name, rewritten([*texts[:i], _with(documents[i], path, value), *texts[i + 1 :]]))
        came = {run: logbook.read(run) for run in RUNS}
        run = run_of(name)
        if run is not None:
            found = logbook.find()
            assert found.keys() | {run} == logbook.found.keys() | {run}, about
            assert run in found or came[run] == "NotFound" or path[0] == "changes", about  # a flow record that is none
            assert all(isinstance(state, str) for state in found.values()), about
            for other in RUNS:
                assert other == run or came[other] == logbook.history[other][-1], about
            if came[run] not in ("Damaged", "NewerSchema") and not _is_told_as_it_is(path, value):
                assert came[run] in logbook.history[run], f"{about}: {came[run]}"
        logbook.claim_all()
        logbook.restore()
        figures["values of a wrong type"] += 1


def _is_told_as_it_is(path: tuple[Any, ...], value: str) -> bool:
    """Return whether a value is the user's: what kind, key and row a change has, or a request says; or no change."""
    return path[0] == "request" or (path[0] == "changes" and (value == "[]" or (len(path) > 2 and path[2] > 0)))


@pytest.mark.parametrize("name", [*_files()[:5], MARK], indirect=True)
def test_a_format_of_the_future_is_named(logbook: Logbook, name: str) -> None:
    documents = documents_of(logbook.files[name])
    documents[0]["format"] = 2
    logbook.write(name, rewritten(map(_text, documents)))
    run = run_of(name)
    assert [logbook.read(one) for one in RUNS if run in (None, one)] == ["NewerSchema"] * (3 if run is None else 1)


def test_a_sector_that_was_never_written_is_noticed(logbook: Logbook, figures: Counter[str]) -> None:
    for name in _files()[:5]:
        data = without_room(logbook.files[name])
        for start in range(0, len(data), 512):
            lost = data[:start] + bytes(len(data[start : start + 512])) + data[start + 512 :]
            is_the_end = start + 512 >= len(data) and (name == LIVE or "/claimed/" in name)
            logbook.write(name, lost)
            came = judge(logbook, name, may_be_earlier=is_the_end, about=f"{name}: sector at {start} lost")
            figures[f"sectors lost: {came}"] += 1
        logbook.restore()
