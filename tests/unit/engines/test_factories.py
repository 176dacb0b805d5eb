"""How another process rebuilds the flow of a run, and what it must be allowed to load for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowbook import Flow, LinearFlow, engines
from flowbook.engines.factories import Factory
from flowbook.exceptions import FactoryMissing, FactoryRefused, NotFound, NotPossible, WrongType
from flowbook.persistence import fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from unit.engines.tasks import Say

PROGRAM = """
import dataclasses, sys
from flowbook import LinearFlow, Task, engines

@dataclasses.dataclass
class Order:
    number: int

class Take(Task):
    default_provides = "order"
    def execute(self, number):
        return Order(number)

class Ship(Task):
    default_provides = "shipped"
    def execute(self, order):
        open("calls", "a").write(f"ship {order.number}\\n")
        if stop:
            engine.suspend()
        return order

class Bill(Task):
    default_provides = "bill"
    def execute(self, order):
        open("calls", "a").write(f"bill {order.number}\\n")
        return order.number * 2

stop = False

def build(extra=0):
    return LinearFlow("orders").add(Take(), Ship(), Bill())

if __name__ == "__main__":
    stop = True
    engine = engines.load_from_factory(
        build, factory_kwargs={"extra": 1}, store={"number": 21}, backend="sqlite:///runs.db", run_id="r"
    )
    engine.run()
    print(engine.state)
"""


def test_a_program_is_resumed_by_another_one_that_may_load_its_file(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(PROGRAM)
    started = subprocess.run([sys.executable, "orders.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert started.stdout == "SUSPENDED\n", started.stderr
    resume = (
        "from flowbook import engines; import os;"
        "print(engines.resume('sqlite:///runs.db', 'r', allow=[os.path.abspath('orders.py')])['bill'])"
    )
    resumed = subprocess.run([sys.executable, "-c", resume], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert resumed.stdout == "42\n", resumed.stderr
    assert "2 saved, 0 interrupted, 1 to go" in resumed.stderr
    assert (tmp_path / "calls").read_text() == "ship 21\nbill 21\n"


def small(count: int = 1, *, name: str = "small") -> Flow:
    return LinearFlow(name).add(*[Say(f"s{i}", []) for i in range(count)])


FLOW = small()


def url_of(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


def begun(tmp_path: Path, **factory: Any) -> str:
    """Record a run of a factory that was suspended before its first task; return its URL."""
    url = url_of(tmp_path)
    engine = engines.load_from_factory(small, factory_kwargs={"count": 2}, backend=url, run_id="r")
    engine.notifier.register("RUNNING", lambda notice: engine.suspend())
    engine.run()
    if factory:
        with fetch(url) as backend:
            row = backend.load("r").kind("flow")["r"]
            claim = backend.claim("flow:r", current_owner(), lease_s=10)
            backend.commit(claim, [Put("flow", "r", {**row, "factory": {**row["factory"], **factory}})])
    return url


def test_nothing_is_loaded_unless_it_is_allowed(tmp_path: Path) -> None:
    url = begun(tmp_path)
    with pytest.raises(FactoryRefused) as raised:
        engines.resume(url, "r")
    assert f"--allow {__name__}" in raised.value.todo
    engines.resume(url, "r", allow=[__name__])


def test_a_package_allows_what_lies_in_it_and_no_name_that_merely_begins_like_it(tmp_path: Path) -> None:
    url = begun(tmp_path)
    package = __name__.rpartition(".")[0]
    with pytest.raises(FactoryRefused):
        engines.resume(url, "r", allow=[package[:-1]])
    engines.resume(url, "r", allow=[package])


@pytest.mark.parametrize(
    "factory",
    [
        {"module": "os", "name": "system", "kwargs": {"command": "touch executed"}},
        {"module": "subprocess", "name": "run"},
        {"path": "/bin/sh", "module": ""},
    ],
)
def test_a_hostile_factory_in_the_record_is_refused(tmp_path: Path, factory: dict[str, Any]) -> None:
    url = begun(tmp_path, **factory)
    with pytest.raises(FactoryRefused):
        engines.resume(url, "r", allow=[__name__])


@pytest.mark.parametrize("factory", [{"name": 3}, {"kwargs": 7}, {"args": None}])
def test_a_damaged_factory_is_named(tmp_path: Path, factory: dict[str, Any]) -> None:
    url = begun(tmp_path, **factory)
    with pytest.raises(FactoryMissing, match="cannot be rebuilt"):
        engines.resume(url, "r", allow=[__name__])


def test_a_factory_that_is_gone_is_named(tmp_path: Path) -> None:
    url = begun(tmp_path, name="smal")
    with pytest.raises(FactoryMissing) as raised:
        engines.resume(url, "r", allow=[__name__])
    assert "does not exist" in raised.value.why


def test_a_run_that_goes_on_with_other_parameters_is_resumed_with_these(tmp_path: Path) -> None:
    url = begun(tmp_path)
    engine = engines.load_from_factory(small, factory_kwargs={"count": 3}, backend=url, run_id="r")
    engine.notifier.register("RUNNING", lambda notice: engine.suspend())
    engine.run()
    assert engine.differences == ["atom 's2' is new", "the link s1 -> s2 is new"]
    resumed = engines.load_from_run(url, "r", allow=[__name__])
    resumed.run()
    assert resumed.differences == []
    assert resumed.storage.get("s2") == "s2"


def test_a_run_of_a_flow_object_says_how_to_go_on(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    engines.run(small(), backend=url, run_id="r")
    with pytest.raises(FactoryMissing) as raised:
        engines.resume(url, "r")
    assert "no factory was recorded" in raised.value.why
    with pytest.raises(NotFound):
        engines.resume(url, "nope")


def test_what_no_other_process_can_import_is_no_factory() -> None:
    with pytest.raises(NotPossible, match="cannot be imported by name"):
        engines.load_from_factory(lambda: small())
    with pytest.raises(NotPossible, match="not plain data"):
        engines.load_from_factory(small, factory_args=[{1, 2}])


def test_a_name_may_lead_to_a_flow_a_task_or_a_function() -> None:
    assert Factory("FLOW", module=__name__).build() is FLOW
    assert len(Factory("small", module=__name__, kwargs={"count": 3}).build()) == 3
    with pytest.raises(WrongType, match="not a flow or a task"):
        Factory("url_of", module=__name__, args=(Path(),)).build()


def test_a_file_named_like_another_module_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text("from flowbook import LinearFlow\nflow = LinearFlow('mine')\n")
    assert Factory("flow", path=str(tmp_path / "json.py")).build().name == "mine"
    assert "mine" not in vars(sys.modules["json"]).get("__file__", "")
    assert sys.modules["json"].dumps([]) == "[]"


def test_a_file_may_import_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "neighbour_of_orders.py").write_text("name = 'of my neighbour'\n")
    (tmp_path / "orders_with_neighbour.py").write_text(
        "from neighbour_of_orders import name\nfrom flowbook import LinearFlow\nflow = LinearFlow(name)\n"
    )
    assert Factory("flow", path=str(tmp_path / "orders_with_neighbour.py")).build().name == "of my neighbour"
