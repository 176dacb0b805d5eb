"""What comes back from a run, and what a failure raises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import FlowState, LinearFlow, Task, UnorderedFlow, WrappedFailure, engines, task
from flowbook.engines.core.arguments import NotProvided
from flowbook.exceptions import (
    EncodeError,
    InvalidState,
    NotFound,
    TooLarge,
)
from flowbook.persistence import Backend, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from unit.engines.tasks import Raise, Say


def test_inputs_flow_to_results() -> None:
    @task(provides=("quotient", "rest"))
    def divide(number: int, by: int = 10) -> tuple[int, int]:
        return divmod(number, by)

    assert engines.run(LinearFlow("f").add(divide), {"number": 42}) == {"number": 42, "quotient": 4, "rest": 2}
    assert engines.run(divide, {"number": 42, "by": 5})["quotient"] == 8


def test_a_short_result_fails_its_consumer_and_nobody_else(calls: list[str]) -> None:
    @task(provides=("one", "two"))
    def give() -> tuple[int]:
        return (1,)

    @task
    def take(two: int) -> None:
        raise AssertionError("it cannot be called")

    with pytest.raises(NotProvided, match="'take' needs 'two'"):
        engines.run(LinearFlow("f").add(give, Say("say", calls), take))
    assert calls == ["say", "revert say"]


def test_several_providers_of_a_symbol_come_back_as_a_list() -> None:
    flow = UnorderedFlow("f").add(*[task(provides="x")(lambda i=i: i).atom(name=f"t{i}") for i in range(3)])  # type: ignore[misc]
    assert engines.run(flow)["x"] == [0, 1, 2]


def test_the_results_are_read_by_name_and_by_symbol(calls: list[str]) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", calls, provides="x")), {"y": 1})
    with pytest.raises(InvalidState, match="the run has not been entered"):
        engine.storage.fetch("x")
    engine.run()
    assert engine.storage.fetch("x") == engine.storage.get("a") == "a"
    with pytest.raises(NotFound, match=r"did you mean|no value of 'z'"):
        engine.storage.fetch("z")
    with pytest.raises(NotFound, match="no atom 'b'"):
        engine.storage.get_atom_state("b")


def test_the_exception_itself_is_raised_after_reverting_in_reverse_order(calls: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^c$") as raised:
        engines.run(LinearFlow("f").add(Say("a", calls), Say("b", calls), Raise("c", calls), Say("d", calls)))
    assert calls == ["a", "b", "c", "revert c", "revert b", "revert a"]
    assert raised.traceback[-1].name == "execute"


def test_atoms_that_became_ready_together_are_all_started_although_one_fails(calls: list[str]) -> None:
    with pytest.raises(ValueError, match="bad"):
        engines.run(UnorderedFlow("f").add(Raise("bad", calls), Say("a", calls), Say("b", calls)))
    assert calls[:3] == ["bad", "a", "b"]
    assert sorted(calls[3:]) == ["revert a", "revert b", "revert bad"]


def test_several_failures_are_raised_together(calls: list[str]) -> None:
    with pytest.raises(WrappedFailure) as raised:
        engines.run(UnorderedFlow("f").add(Raise("one", calls), Raise("two", calls)))
    assert list(raised.value.failures) == ["one", "two"]


def test_a_failed_revert_shows_both_failures_and_stops_the_reverting(calls: list[str]) -> None:
    class Stuck(Say):
        def revert(self) -> None:
            raise RuntimeError("it cannot be undone")

    engine = engines.load(LinearFlow("f").add(Say("a", calls), Stuck("b", calls), Raise("c", calls)))
    with pytest.raises(WrappedFailure) as raised:
        engine.run()
    assert list(raised.value.failures) == ["c", "b (revert)"]
    assert engine.state is FlowState.FAILURE
    assert engine.storage.get_atom_state("a") == "SUCCESS"
    assert calls == ["a", "b", "c", "revert c"]


def test_revert_is_told_the_result_and_the_failures() -> None:
    told: list[Any] = []

    class Made(Task):
        def execute(self, x: int) -> int:
            return x + 1

        def revert(self, x: int, result: int, flow_failures: dict[str, Any]) -> None:
            told.append((x, result, [str(failure) for failure in flow_failures.values()]))

    with pytest.raises(ValueError, match="no"):
        engines.run(LinearFlow("f").add(Made("made"), Raise("no", [])), {"x": 1})
    assert told == [(1, 2, ["Failure: ValueError: no"])]


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit()])
def test_an_exception_that_is_no_error_fails_the_atom_like_any_other(error: BaseException) -> None:
    def leave() -> None:
        raise error

    engine = engines.load(task(leave), engine="parallel")
    with pytest.raises(type(error)):
        engine.run()
    assert engine.state is FlowState.REVERTED


def test_an_interrupt_in_a_task_stops_the_engine_and_the_run_can_be_continued(backend: Backend) -> None:
    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    flow = LinearFlow("f").add(Say("a", []), interrupted)
    with pytest.raises(KeyboardInterrupt):
        engines.run(flow, backend=backend, run_id="r")
    claim = backend.claim("flow:r", current_owner(), lease_s=10)
    left = dict(backend.load("r").kind("atom")["interrupted"])
    backend.commit(claim, [Put("atom", "interrupted", {**left, "owner": "elsewhere:7"})])
    engine = engines.load(LinearFlow("f").add(Say("a", []), Say("interrupted", [])), backend=backend, run_id="r")
    engine.run()
    assert str(engine.resumed) == "1 saved, 1 interrupted, 0 to go"
    assert [row["outcome"] for row in backend.load("r").appended["attempt"]["interrupted"]] == [
        "INTERRUPTED",
        "SUCCESS",
    ]


def test_a_result_that_cannot_be_stored_fails_its_atom_and_names_the_part(tmp_path: Path, calls: list[str]) -> None:
    class Unstorable(Task):
        def execute(self) -> dict[str, object]:
            return {"rows": [1, threading.Lock()]}

        def revert(self, result: object) -> None:
            assert isinstance(result, dict)
            calls.append(f"reverted with {sorted(result)}")

    flow = LinearFlow("f").add(Unstorable("bad", provides="x"), Say("dependent", calls))
    with pytest.raises(EncodeError) as raised:
        engines.run(flow, backend=f"sqlite:///{tmp_path}/runs.db")
    assert "result of 'bad'" in raised.value.path
    assert "['rows'][1]" in raised.value.path
    assert calls == ["reverted with ['rows']"]


def test_an_input_that_cannot_be_stored_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(EncodeError, match="input 'x'"):
        engines.run(Say("a", []), {"x": threading.Lock()}, backend=url, run_id="r")
    with fetch(url) as backend, pytest.raises(NotFound):
        backend.load("r")


def test_a_result_over_the_limit_fails_its_atom_by_name() -> None:
    @task
    def big() -> str:
        return "x" * 1000

    with pytest.raises(TooLarge, match="result of 'big'"):
        engines.run(big, backend={"connection": "memory:", "strict": True, "value_limit_bytes": 900})


def test_a_failure_over_the_limit_is_stored_in_brief() -> None:
    @task
    def fail() -> None:
        raise ValueError("x" * 1000)

    with fetch({"connection": "memory:", "strict": True, "value_limit_bytes": 600}) as backend:
        with pytest.raises(ValueError, match=r"x{1000}"):
            engines.run(fail, backend=backend, run_id="r")
        with pytest.raises(WrappedFailure, match=r"fail: ValueError: x{300}…"):
            engines.run(fail, backend=backend, run_id="r")


@pytest.fixture(params=["strict memory", "sqlite"])
def encoding(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    strict = {"connection": "memory:", "strict": True}
    with fetch(strict if request.param == "strict memory" else f"sqlite:///{tmp_path}/runs.db") as backend:
        yield backend


@pytest.mark.parametrize("stops_at", [None, "give", "change"])
def test_each_reader_gets_what_the_logbook_holds_also_when_another_changes_its_copy(
    encoding: Backend, stops_at: str | None
) -> None:
    @task(provides="items")
    def give() -> list[int]:
        return [1]

    @task
    def change(items: list[int]) -> None:
        items.append(2)

    @task(provides="count")
    def count(items: list[int]) -> int:
        return len(items)

    engine = engines.load(LinearFlow("f").add(give, change, count), backend=encoding, run_id="r")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend() if notice.atom == stops_at else None)
    engine.run()
    results = engines.run(LinearFlow("f").add(give, change, count), backend=encoding, run_id="r")
    assert results == {"items": [1], "count": 1}
    results["items"].append(3)
    assert engines.run(LinearFlow("f").add(give, change, count), backend=encoding, run_id="r")["items"] == [1]


def test_the_results_of_a_finished_run_can_be_read_without_running_it(backend: Backend) -> None:
    flow = LinearFlow("f").add(Say("a", [], provides="x"))
    engines.run(flow, backend=backend, run_id="r")
    engine = engines.load(flow, backend=backend, run_id="r")
    assert engine.state is FlowState.SUCCESS
    assert engine.storage.fetch("x") == "a"
