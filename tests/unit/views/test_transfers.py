"""A run that was executed goes from any storage to any other, is shown there as it was, and goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook.atoms import task
from flowbook.engines import load, run
from flowbook.exceptions import InputsChanged, NotPossible
from flowbook.flows import LinearFlow
from flowbook.persistence import Backend, fetch
from flowbook.views import view_run
from flowbook.views.transfers import export_run, import_run

URLS = ("memory:", "memory:?strict=yes", "sqlite:///{}/runs.db", "dir:{}/runs")

calls: list[str] = []


@task(provides="room")
def reserve(guest: str) -> tuple[str, set[int]]:
    calls.append("reserve")
    return guest, {7}


@task
def charge(room: object) -> None:
    calls.append("charge")
    raise ValueError("no money")


FLOW = LinearFlow("stay").add(reserve, charge)


def opened(url: str, folder: Path) -> Backend:
    folder.mkdir()
    backend = fetch(url.format(folder))
    backend.open()
    return backend


@pytest.fixture(params=URLS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    backend = opened(request.param, tmp_path / "source")
    for _ in load(FLOW, {"guest": "ann"}, backend=backend, run_id="r1", never_resolve=True).run_iter():
        pass
    yield backend
    backend.close()


@pytest.fixture(params=URLS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    backend = opened(request.param, tmp_path / "target")
    yield backend
    backend.close()


def test_a_run_is_shown_there_as_it_was_here(source: Backend, target: Backend) -> None:
    document = list(export_run(source, "r1"))
    assert import_run(target, document) == "r1"
    assert view_run(target, "r1") == view_run(source, "r1")
    assert list(export_run(target, "r1")) == document


def test_a_run_goes_on_there(source: Backend, target: Backend) -> None:
    import_run(target, export_run(source, "r1"), run_id="r2")
    calls.clear()
    with pytest.raises(ValueError, match="no money"):
        run(FLOW, backend=target, run_id="r2", rerun=True)
    assert calls == ["reserve", "charge"]
    attempts = target.load("r2").appended["attempt"]
    assert {name: len([row for row in rows if row["direction"] == "EXECUTE"]) for name, rows in attempts.items()} == {
        "reserve": 2,
        "charge": 2,
    }


@pytest.mark.parametrize("run_id", ["", "x" * 501])
def test_an_id_that_cannot_be_one_is_refused(source: Backend, run_id: str) -> None:
    with pytest.raises(NotPossible) as caught:
        import_run(fetch("memory:"), export_run(source, "r1"), run_id=run_id)
    assert "500 bytes" in caught.value.todo


@task(provides="y")
def first(x: tuple[int, int]) -> int:
    return x[0]


def test_an_imported_run_goes_on_in_memory_with_its_inputs_given_again() -> None:
    source, target = fetch("memory:?strict=true"), fetch("memory:")
    flow = LinearFlow("sum").add(first)
    run(flow, {"x": (1, 2)}, backend=source, run_id="r1")
    import_run(target, export_run(source, "r1"))
    assert run(flow, {"x": (1, 2)}, backend=target, run_id="r1")["y"] == 1
    with pytest.raises(InputsChanged):
        run(flow, {"x": (1, 3)}, backend=target, run_id="r1")
