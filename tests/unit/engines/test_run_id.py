"""What the same ``run_id`` means when it is used again, on every backend that this version has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import FlowState, LinearFlow, Task, UnorderedFlow, WrappedFailure, engines, task
from flowbook.exceptions import FlowChanged, FlowOwned, InputsChanged, NotPossible
from flowbook.persistence import Backend, fetch
from flowbook.persistence.owners import Owner
from flowbook.persistence.sql.backend import SqlBackend

CALLS: list[str] = []
FOREIGN = Owner(host="elsewhere", boot="another boot", namespace="another", pid=1, started=1, lock=1)


class Noted(Task):
    """Notes that it ran, and returns its name."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, provides=options.pop("provides", f"{name}-result"), **options)

    def execute(self) -> str:
        CALLS.append(self.name)
        return self.name

    def revert(self) -> None:
        CALLS.append(f"revert {self.name}")


class Failing(Noted):
    def execute(self) -> str:
        CALLS.append(self.name)
        raise ValueError(f"{self.name} is broken")


class Suspending(Noted):
    """Suspends the engine while it runs."""

    engine: engines.Engine | None = None

    def execute(self) -> str:
        if self.engine is not None:
            self.engine.suspend()
        return super().execute()


def chain(*tasks: Task, name: str = "chain") -> LinearFlow:
    return LinearFlow(name).add(*tasks)


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.clear()


@pytest.fixture(params=["memory", "strict memory", "sqlite", "sqlite with a rollback journal"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    confs: dict[str, dict[str, object]] = {
        "memory": {"connection": "memory:"},
        "strict memory": {"connection": "memory:", "strict": True},
        "sqlite": {"connection": f"sqlite:///{tmp_path}/runs.db"},
        "sqlite with a rollback journal": {"connection": f"sqlite:///{tmp_path}/runs.db", "journal": "delete"},
    }
    with fetch(confs[request.param]) as backend:
        yield backend


def suspended(backend: Backend, *names: str, at: str) -> None:
    """Leave run ``r`` of a chain suspended after the task ``at``."""
    tasks = [Suspending(name) if name == at else Noted(name) for name in names]
    engine = engines.load(chain(*tasks), backend=backend, run_id="r")
    for each in tasks:
        if isinstance(each, Suspending):
            each.engine = engine
    engine.run()
    assert engine.state is FlowState.SUSPENDED


def test_a_new_id_begins_a_run_in_the_default_book(backend: Backend) -> None:
    engines.run(chain(Noted("a")), backend=backend, run_id="r")
    row = backend.load("r").kind("flow")["r"]
    assert (row["book"], row["state"]) == ("default", "SUCCESS")


def test_without_an_id_each_run_is_one_of_its_own(backend: Backend) -> None:
    engines.run(chain(Noted("a")), backend=backend)
    engines.run(chain(Noted("a")), backend=backend)
    assert CALLS == ["a", "a"]


def test_an_unfinished_run_continues_and_says_what_was_saved(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    suspended(backend, "a", "b", "c", at="b")
    CALLS.clear()
    engine = engines.load(chain(Noted("a"), Noted("b"), Noted("c")), backend=backend, run_id="r")
    engine.run()
    assert CALLS == ["c"]
    assert str(engine.resumed) == "2 saved, 0 interrupted, 1 to go"
    assert "resumed run r: 2 saved, 0 interrupted, 1 to go" in caplog.text
    assert engine.storage.fetch_all() == {"a-result": "a", "b-result": "b", "c-result": "c"}


def test_after_success_the_saved_results_come_back_and_nothing_is_written(backend: Backend) -> None:
    flow = chain(Noted("a"), Noted("b"))
    first = engines.run(flow, backend=backend, run_id="r", store={"x": 1})
    before = backend.load("r")
    CALLS.clear()
    assert engines.run(flow, backend=backend, run_id="r", store={"x": 1}) == first
    after = backend.load("r")
    assert CALLS == []
    assert {kind: dict(rows) for kind, rows in after.rows.items()} == dict(before.rows)


def test_after_a_revert_the_saved_failure_is_raised_again(backend: Backend) -> None:
    flow = chain(Noted("a"), Failing("b"))
    with pytest.raises(ValueError, match="b is broken"):
        engines.run(flow, backend=backend, run_id="r")
    assert CALLS == ["a", "b", "revert b", "revert a"]
    CALLS.clear()
    with pytest.raises((ValueError, WrappedFailure), match="b is broken"):
        engines.run(flow, backend=backend, run_id="r")
    assert CALLS == []


def test_a_failure_read_from_the_logbook_names_its_atom_and_type(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(ValueError, match="b is broken"):
        engines.run(chain(Failing("b")), backend=url, run_id="r")
    with pytest.raises(WrappedFailure) as raised:
        engines.run(chain(Failing("b")), backend=url, run_id="r")
    assert raised.value.failures["b"].check(ValueError) is ValueError


def test_rerun_begins_a_new_round_of_a_finished_run(backend: Backend) -> None:
    with pytest.raises(ValueError, match="b is broken"):
        engines.run(chain(Noted("a"), Failing("b")), backend=backend, run_id="r")
    CALLS.clear()
    engine = engines.load(chain(Noted("a"), Noted("b")), backend=backend, run_id="r", rerun=True)
    engine.run()
    assert CALLS == ["a", "b"]
    assert engine.resumed is None
    records = backend.load("r")
    assert records.kind("atom")["a"]["round"] == 1
    rounds = [(row["round"], row["direction"], row["outcome"]) for row in records.appended["attempt"]["a"]]
    assert rounds == [(0, "EXECUTE", "SUCCESS"), (0, "REVERT", "SUCCESS"), (1, "EXECUTE", "SUCCESS")]


def test_rerun_of_an_unfinished_run_continues_it(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    CALLS.clear()
    engines.run(chain(Noted("a"), Noted("b")), backend=backend, run_id="r", rerun=True)
    assert CALLS == ["b"]


def test_a_run_that_a_living_engine_elsewhere_owns_is_refused(backend: Backend) -> None:
    backend.claim("flow:r", FOREIGN, lease_s=1000)
    with pytest.raises(FlowOwned) as raised:
        engines.run(chain(Noted("a")), backend=backend, run_id="r")
    assert "elsewhere:1" in str(raised.value)
    assert CALLS == []


def test_it_can_be_taken_over_on_request(backend: Backend) -> None:
    backend.claim("flow:r", FOREIGN, lease_s=1000)
    engines.run(chain(Noted("a")), backend=backend, run_id="r", take_over=True)
    assert CALLS == ["a"]


def test_other_inputs_than_the_recorded_ones_are_refused_by_name(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    flow = chain(Noted("a"), Noted("b"))
    engine = engines.load(flow, {"x": [1], "y": 2}, backend=backend, run_id="r")
    engine.run()
    with pytest.raises(InputsChanged) as raised:
        engines.run(flow, {"x": [1, 1], "y": 2}, backend=backend, run_id="r")
    assert raised.value.names == ("x",)


@pytest.mark.parametrize(("recorded", "given"), [(1, True), (1, 1.0), ("1", 1), ([1], (1,)), ({"a": 1}, {"a": 1.0})])
def test_inputs_of_another_type_are_other_inputs(backend: Backend, recorded: object, given: object) -> None:
    flow = chain(Noted("a"))
    engines.run(flow, {"x": recorded}, backend=backend, run_id="r")
    if backend.keeps_references and recorded == given and isinstance(recorded, dict):
        return  # live values are compared as Python compares them
    with pytest.raises(InputsChanged):
        engines.run(flow, {"x": given}, backend=backend, run_id="r")


def test_inputs_in_another_order_are_the_same(backend: Backend) -> None:
    flow = chain(Noted("a"))
    engines.run(flow, {"x": {"a": 1, "b": {2, 3}}}, backend=backend, run_id="r")
    engines.run(flow, {"x": {"b": {3, 2}, "a": 1}}, backend=backend, run_id="r")
    engines.run(flow, {"y": {1: {"z": 0}, (2,): 2}}, backend=backend, run_id="r2")
    engines.run(flow, {"y": {(2,): 2, 1: {"z": 0}}}, backend=backend, run_id="r2")
    assert CALLS == ["a", "a"]


def test_inputs_that_cannot_be_compared_are_other_inputs() -> None:
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    with fetch("memory:") as backend:
        same = Array()
        engines.run(chain(Noted("a")), {"x": same}, backend=backend, run_id="r")
        engines.run(chain(Noted("a")), {"x": same}, backend=backend, run_id="r")
        with pytest.raises(InputsChanged):
            engines.run(chain(Noted("a")), {"x": Array()}, backend=backend, run_id="r")


def test_the_saved_failure_is_raised_although_its_atom_is_gone_from_the_flow(backend: Backend) -> None:
    with pytest.raises(ValueError, match="b is broken"):
        engines.run(chain(Noted("a"), Failing("b")), backend=backend, run_id="r")
    with pytest.raises((ValueError, WrappedFailure), match="b is broken"):
        engines.run(chain(Noted("a"), Noted("c")), backend=backend, run_id="r")


def test_what_is_new_in_the_flow_of_a_finished_run_is_said_not_to_have_run(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    engines.run(chain(Noted("a")), backend=backend, run_id="r")
    assert engines.run(chain(Noted("a"), Noted("b")), backend=backend, run_id="r") == {"a-result": "a"}
    assert caplog.text.count("what is new in its flow has not run; rerun=True runs all") == 1


def test_another_book_than_the_recorded_one_is_refused(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    with pytest.raises(NotPossible, match="lies in book 'default', not in 'other'"):
        engines.run(chain(Noted("a"), Noted("b")), backend=backend, run_id="r", book="other")


def test_recorded_inputs_need_not_be_given_again(backend: Backend) -> None:
    @task(provides="twice")
    def double(x: int) -> int:
        return 2 * x

    stop = Suspending("stop")
    engine = engines.load(chain(stop, double), {"x": 21}, backend=backend, run_id="r")
    stop.engine = engine
    engine.run()
    assert engines.run(chain(Noted("stop"), double), backend=backend, run_id="r")["twice"] == 42


def test_another_flow_is_matched_by_names_and_the_difference_is_told(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    suspended(backend, "a", "b", "c", at="b")
    CALLS.clear()
    engine = engines.load(chain(Noted("new"), Noted("a"), Noted("b"), Noted("d")), backend=backend, run_id="r")
    engine.run()
    assert CALLS == ["new", "d"]
    assert "atom 'c' is gone" in engine.differences
    assert "atom 'new' is new" in caplog.text


def test_another_flow_is_refused_on_request(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    with pytest.raises(FlowChanged, match="atom 'c' is new"):
        engines.run(chain(Noted("a"), Noted("b"), Noted("c")), backend=backend, run_id="r", on_change="refuse")


def test_another_major_version_of_an_atom_is_always_refused(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    with pytest.raises(FlowChanged, match=r"'b' has version 2\.0, was recorded with 1\.0"):
        engines.run(chain(Noted("a"), Noted("b", version=(2, 0))), backend=backend, run_id="r")


def test_another_minor_version_is_accepted(backend: Backend) -> None:
    suspended(backend, "a", "b", at="a")
    engines.run(chain(Noted("a"), Noted("b", version=(1, 1))), backend=backend, run_id="r")
    assert CALLS[-1] == "b"


@pytest.mark.parametrize("run_id", ["", "x" * 501])
def test_an_id_that_cannot_be_one_is_refused(run_id: str) -> None:
    with pytest.raises(NotPossible, match="run_id is"):
        engines.load(chain(Noted("a")), run_id=run_id)


@pytest.mark.parametrize(
    "run_id", ["../../x", "/etc/passwd", "a\nb", "Å", "A\u030a", "'; DROP TABLE flows; --", "🦊", "%s"]
)
def test_any_other_text_is_an_id(backend: Backend, run_id: str) -> None:
    engines.run(chain(Noted("a")), backend=backend, run_id=run_id)
    CALLS.clear()
    assert engines.run(chain(Noted("a")), backend=backend, run_id=run_id) == {"a-result": "a"}
    assert CALLS == []


def test_a_chain_of_n_atoms_costs_n_and_one_commits(backend: Backend) -> None:
    engine = engines.load(chain(*[Noted(f"t{i}") for i in range(25)]), backend=backend)
    engine.run()
    create = 1
    assert engine.storage.commits == 25 + 1 + create
    if isinstance(backend, SqlBackend):
        assert backend.transactions == 25 + 1 + create


def test_a_failing_fan_reverts_what_ran_on_threads(backend: Backend) -> None:
    fan = UnorderedFlow("fan").add(*[Noted(f"t{i}") for i in range(20)], Failing("bad"))
    with pytest.raises(ValueError, match="bad is broken"):
        engines.run(chain(fan, Noted("never")), backend=backend, engine="parallel", max_workers=4, run_id="r")  # type: ignore[arg-type]
    ran = {call for call in CALLS if not call.startswith("revert ")}
    assert {call.removeprefix("revert ") for call in CALLS if call.startswith("revert ")} == ran
    assert "never" not in ran
