"""Whatever happens to a value in a relational database: a named error or another value there, and other runs go on.

A database has no checksums of ours: a text that is still a record is told as it is. All of it runs with
``FLOWBOOK_FULL=1``, else a sample that is always the same.
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

from crash.spoiling import KINDS, OTHERS, RUN, Place, Spoilt, failing_flow, serving_flow, spoilt_on
from flowbook import engines
from flowbook.exceptions import Damaged, FlowbookError, NewerSchema
from flowbook.persistence.backend import FlowRecords, Query
from flowbook.persistence.inspection import Level
from flowbook.persistence.registry import fetch
from flowbook.persistence.sql.tables import APPENDED, CLAIMS, FLOWS, HEADS, RECORDS, REQUESTS, SCHEMA
from flowbook.testing.backend_samples import decoded
from flowbook.views.details import view_run
from flowbook.views.inspections import inspect_storage
from flowbook.views.overviews import overview
from flowbook.views.runs import list_runs

SAMPLE = 40
WHOLE_EVERY = 5  # on servers runs are resumed, and the doctor asked, less often: both take longer than all else
FULL_BITS = 3000
TOLD = "told by doctor alone"
DOCUMENTS = (RECORDS, APPENDED, REQUESTS, CLAIMS)
SERVED = {"amount": 3}

_One = TypeVar("_One")


@pytest.fixture(scope="module", params=KINDS)
def spoilt(request: pytest.FixtureRequest, fast_folder: Path) -> Iterator[Spoilt]:
    folder = fast_folder / f"spoilt {request.param}"
    folder.mkdir()
    spoilt = spoilt_on(request.param, request, folder)
    yield spoilt
    spoilt.close()


def some(of: Iterable[_One], name: str, *, full: bool, count: int = SAMPLE) -> Sequence[_One]:
    """Return all, or a few that depend on ``name`` alone."""
    every = list(of)
    return every if full else random.Random(name).sample(every, min(count, len(every)))


def judge(spoilt: Spoilt, about: object) -> str:
    """Check what is told of a database with one damaged value, and put it back; return what came of its run."""
    spoilt.cases += 1
    is_whole = spoilt.kind == "sqlite" or spoilt.cases % WHOLE_EVERY == 0
    try:
        came = _judged(spoilt, asks_doctor=is_whole)
        if is_whole:
            _resume(spoilt)
    except Exception as error:
        error.add_note(f"in {spoilt.kind}: {about}")
        raise
    finally:
        spoilt.restore(is_written=is_whole)
    return came


def _judged(spoilt: Spoilt, *, asks_doctor: bool) -> str:
    backend = spoilt.backend
    for other in OTHERS:
        assert backend.load(other) == spoilt.loaded[other]
        assert view_run(backend, other).id == other
    found = {one.flow: one.state for one in backend.find(Query())}
    assert found.keys() >= {*OTHERS}
    assert {*OTHERS} <= {row.id for row in list_runs(backend)}
    unread = _damage(lambda: backend.load(RUN))
    assert _damage(lambda: decoded(backend.look(RUN))) == unread
    assert unread or decoded(backend.look(RUN)) == backend.load(RUN)
    damage = unread or _damage(lambda: view_run(backend, RUN))
    _damage(lambda: overview(backend, RUN))
    told = {check.where for check in inspect_storage(backend) if check.level is Level.FAIL} if asks_doctor else ()
    if asks_doctor and damage in ("Damaged", "NewerSchema"):
        assert f"run {RUN}" in told
    if damage or told:
        return damage or TOLD
    return "another value" if backend.load(RUN) != spoilt.loaded[RUN] else "as it was"


def _damage(look: Callable[[], object]) -> str:
    """Return which error of ours came when a run was looked at, if any."""
    try:
        look()
    except FlowbookError as error:
        return type(error).__name__
    return ""


def _resume(spoilt: Spoilt) -> None:
    """Resume the damaged run, which ends with an error of ours or without one, and another, which succeeds."""
    _damage(lambda: engines.load(failing_flow(), backend=spoilt.backend, run_id=RUN).run())
    engine = engines.load(serving_flow(), backend=spoilt.backend, run_id=OTHERS[1])
    engine.run()
    assert engine.storage.fetch_all() == SERVED


def fields_that_differ(spoilt: Spoilt, records: FlowRecords) -> set[tuple[str, str, str]]:
    """Return in which fields of which records a run as it was read is not the one that was recorded."""
    before, after = (set(_fields(one)) for one in (spoilt.loaded[RUN], records))
    return {field[:3] for field in before ^ after}


def _fields(records: FlowRecords) -> Iterator[tuple[str, str, str, str]]:
    for kind, rows in records.rows.items():
        for key, row in rows.items():
            yield from ((kind, key, name, json.dumps(value)) for name, value in row.items())
    for kind, many in records.appended.items():
        for key, appended in many.items():
            for number, row in enumerate(appended):
                yield from ((kind, f"{key}.{number}", name, json.dumps(value)) for name, value in row.items())


def _documents(spoilt: Spoilt) -> list[Place]:
    return list(spoilt.places("data", "owner", tables=DOCUMENTS))


def test_the_runs_have_records_of_every_kind(spoilt: Spoilt) -> None:
    loaded = spoilt.loaded[RUN]
    assert {*loaded.rows} == {"flow", "plan", "input", "atom", "request"}
    assert {*loaded.appended} == {"attempt", "history"}
    assert "failure" in loaded.kind("atom")["pay"]
    assert len(_documents(spoilt)) == 17
    assert judge(spoilt, "nothing is damaged") == "as it was"


def test_a_text_cut_anywhere(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    cuts = [(place, size) for place in _documents(spoilt) for size in range(len(place.value))]
    for place, size in some(cuts, "cuts", full=full):
        assert spoilt.put(place, place.value[:size])
        came = judge(spoilt, f"{place} cut at {size}")
        assert came in ({TOLD, "as it was"} if place.table is CLAIMS else {"Damaged"})
        figures[f"{spoilt.kind}: texts cut: {came}"] += 1


def _flipped(text: str) -> Iterator[str]:
    """Yield the text with each of its bits flipped, where that leaves a text that databases take."""
    data = text.encode()
    for position, bit in itertools.product(range(len(data)), range(8)):
        altered = bytearray(data)
        altered[position] ^= 1 << bit
        try:
            yield altered.decode()
        except UnicodeDecodeError:
            continue


def test_a_bit_flipped_anywhere(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    flips = [(place, text) for place in _documents(spoilt) for text in _flipped(place.value)]
    for place, text in some(flips, "bits", full=False, count=FULL_BITS if full else 2 * SAMPLE):
        if not spoilt.put(place, text):
            continue  # PostgreSQL takes no NUL
        about = f"{place} is {text!r}"
        came = _came_with_few_differences(spoilt, about)
        figures[f"{spoilt.kind}: bits flipped: {came}"] += 1


def _came_with_few_differences(spoilt: Spoilt, about: str) -> str:
    """Check as `judge`, and that no more was altered than a value, its name, or the one behind it."""
    try:
        differing = fields_that_differ(spoilt, spoilt.backend.load(RUN))
    except Damaged:
        differing = set()
    came = judge(spoilt, about)
    assert len(differing) <= 2, about
    assert len({field[:2] for field in differing}) <= 1, about
    return came


def test_a_bit_flipped_in_a_name(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    places = spoilt.places("kind", "key", "book", "name", "state", tables=(RECORDS, APPENDED, FLOWS))
    flips = [(place, text) for place in places for text in _flipped(_text(place.value))]
    for place, text in some(flips, "names", full=full):
        if spoilt.put(place, text):
            figures[f"{spoilt.kind}: bits of names flipped: {judge(spoilt, f'{place} is {text!r}')}"] += 1


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_texts_of_two_rows_swapped(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    pairs = itertools.combinations(_documents(spoilt), 2)
    for one, other in some(pairs, "pairs", full=full):
        assert spoilt.put(one, other.value)
        assert spoilt.put(other, one.value)
        figures[f"{spoilt.kind}: texts swapped: {judge(spoilt, f'{one} and {other} swapped')}"] += 1


DEEP = "[" * 100_000 + "]" * 100_000
NO_RECORDS = ["", " ", "null", "true", "-1", "1e999", "NaN", '"x"', "[]", DEEP, f'{{"state":{DEEP}}}', "{" * 100_000]
VALUES = ["null", "true", "-1", "0.5", f"1{'0' * 400}", "1e999", "NaN", '"x"', '"\\ud800"', "[]", "{}", "[[]]"]
VALUES += ['{"!secret":7}', '{"!bytes":"x"}', '{"!bytes":7}']
VALUES += ["[" * depth + "]" * depth for depth in (50, 150, 400, 800, 980)]
LARGEST = {"bool": True, "0": 0, "-1": -1, "half": 0.5, "2**62": 2**62, "2**63 - 1": 2**63 - 1, "1e300": 1e300}


def test_a_text_that_is_no_record(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    for place, text in some(itertools.product(_documents(spoilt), NO_RECORDS), "no records", full=full):
        assert spoilt.put(place, text)
        came = judge(spoilt, f"{place} is {text[:20]}")
        assert came in ({TOLD, "as it was"} if place.table is CLAIMS else {"Damaged"})
        figures[f"{spoilt.kind}: no records: {came}"] += 1


def test_fields_of_the_wrong_type(spoilt: Spoilt, figures: Counter[str], full: bool) -> None:
    fields = [(place, name) for place in _documents(spoilt) for name in json.loads(place.value)]
    for (place, name), value in some(itertools.product(fields, VALUES), "fields", full=full, count=2 * SAMPLE):
        parts = {key: json.dumps(one) for key, one in json.loads(place.value).items()} | {name: value}
        text = "{" + ",".join(f"{json.dumps(key)}:{part}" for key, part in parts.items()) + "}"
        assert spoilt.put(place, text)
        figures[f"{spoilt.kind}: fields of a wrong type: {judge(spoilt, f'{place}: {name} is {value[:20]}')}"] += 1


def test_numbers_that_nobody_wrote(spoilt: Spoilt, figures: Counter[str]) -> None:
    for place in spoilt.places("epoch", "seq", "since", "lease_until", "created_at", "updated_at", "atoms"):
        for value in LARGEST.values():
            if spoilt.put(place, value):
                figures[f"{spoilt.kind}: numbers: {judge(spoilt, f'{place} is {value!r}')}"] += 1


NO_TYPES: list[tuple[object, str]] = [("text", ""), (b"\xff\xfe", ""), (b"", ""), (7, ""), (b"\xff", "CAST(? AS TEXT)")]


@pytest.mark.parametrize("spoilt", ["sqlite"], indirect=True)
def test_values_that_only_sqlite_takes_in_such_a_column(spoilt: Spoilt, figures: Counter[str]) -> None:
    for place in list(spoilt.places()):
        for value, sql in NO_TYPES:
            if place.column != "claim" and spoilt.put(place, value, sql=sql):
                about = f"{place} is {sql or type(value).__name__} {value!r}"
                figures[f"{spoilt.kind}: values of a wrong type: {judge(spoilt, about)}"] += 1


def test_rows_that_are_gone(spoilt: Spoilt, figures: Counter[str]) -> None:
    for place in spoilt.places("claim", tables=(HEADS, CLAIMS, FLOWS, RECORDS, APPENDED, REQUESTS)):
        assert spoilt.put(place, "flow:nowhere")
        figures[f"{spoilt.kind}: rows gone: {judge(spoilt, f'{place} is gone')}"] += 1


def test_a_schema_of_the_future_is_named(spoilt: Spoilt, figures: Counter[str]) -> None:
    (place,) = spoilt.places(tables=[SCHEMA])
    for revision in ("0004", "9999", "000", "0003'"):
        assert spoilt.put(place, revision)
        with pytest.raises(NewerSchema):
            fetch(spoilt.url).open()
        figures[f"{spoilt.kind}: schemas of the future"] += 1
        spoilt.restore()


def test_a_run_of_the_future_is_named(spoilt: Spoilt, figures: Counter[str]) -> None:
    (place,) = (one for one in spoilt.places("data", tables=[RECORDS]) if _text(one.key[1]) == "flow")
    assert spoilt.put(place, place.value.replace('"schema":1', '"schema":2'))
    with pytest.raises(NewerSchema) as raised:
        view_run(spoilt.backend, RUN)
    assert RUN in str(raised.value.why)
    judge(spoilt, "a run of the future")
    figures[f"{spoilt.kind}: schemas of the future"] += 1
