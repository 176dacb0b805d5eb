"""Retries and deciders as a user meets them: what hooks are given, what is read afterwards, what a resume sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import (
    Decision,
    Failure,
    FlowState,
    ForEach,
    GraphFlow,
    History,
    LinearFlow,
    Notice,
    ParameterizedForEach,
    Retry,
    Task,
    Times,
    WrappedFailure,
    current,
    engines,
    task,
)
from flowbook.exceptions import FlowChanged, FlowFailed, NotFound, NotPossible, OwnershipLost
from flowbook.persistence import Backend, fetch
from flowbook.persistence.owners import current_owner


@pytest.fixture(params=["memory:", "memory:?strict=true", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with fetch(f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else request.param) as backend:
        yield backend


class Fails(Task):
    """Fails until it is given one of the good values."""

    def __init__(self, name: str, *good: object, **options: Any) -> None:
        super().__init__(name, **options)
        self.good = good

    def execute(self, value: object) -> object:
        if value not in self.good:
            raise ValueError(f"{value} is no good")
        return value


def test_for_each_tries_one_value_after_the_other(backend: Backend) -> None:
    flow = LinearFlow("f", retry=ForEach(["a", "b", "c"], "each", provides="value")).add(Fails("try", "c"))
    engine = engines.load(flow, backend=backend)
    engine.run()
    assert engine.storage.get("try") == "c"
    assert list(engine.storage.get_retry_history("each").provided_iter()) == ["a", "b", "c"]


def test_the_values_may_be_an_input(backend: Backend) -> None:
    flow = LinearFlow("f", retry=ParameterizedForEach("each", provides="value")).add(Fails("try", 2, provides="found"))
    assert engines.run(flow, {"values": [1, 2, 3]}, backend=backend)["found"] == 2


def test_a_flow_that_succeeded_at_last_has_no_failures(backend: Backend) -> None:
    flow = LinearFlow("f", retry=Times(3, "again", provides="value")).add(Fails("try", 2))
    engine = engines.load(flow, backend=backend)
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert engine.storage.get_failures() == {}


def test_the_last_failure_alone_is_raised_when_all_rounds_fail(backend: Backend) -> None:
    flow = LinearFlow("f", retry=Times(2, "again", provides="value")).add(Fails("try"))
    engine = engines.load(flow, backend=backend)
    with pytest.raises((ValueError, WrappedFailure), match="2 is no good"):
        engine.run()
    assert engine.state is FlowState.REVERTED
    assert len(engine.storage.get_retry_history("again")) == 0


def test_the_reverts_of_a_round_are_told_the_failures_of_that_round(backend: Backend) -> None:
    told: list[str] = []

    class Undone(Fails):
        def revert(self, flow_failures: dict[str, Failure], result: Failure) -> None:
            told.append(f"{flow_failures['try'].exception_str}, {result.exception_str}")

    flow = LinearFlow("f", retry=Times(2, "again", provides="value")).add(Undone("try"))
    with pytest.raises((ValueError, WrappedFailure)):
        engines.run(flow, backend=backend)
    assert told == ["1 is no good, 1 is no good", "2 is no good, 2 is no good"]


def test_what_was_reverted_has_no_result(backend: Backend) -> None:
    class Answers(Task):
        def execute(self) -> str:
            return "done"

        def revert(self) -> str:
            return "undone"

    engine = engines.load(LinearFlow("f").add(Answers("answers"), Fails("try", inject={"value": 0})), backend=backend)
    with pytest.raises(ValueError, match="0 is no good"):
        engine.run()
    assert engine.storage.get_revert_result("answers") == "undone"
    with pytest.raises(NotFound):
        engine.storage.get("answers")
    with pytest.raises(NotFound):
        engine.storage.get_revert_result("try")


class Remembers(Retry):
    """Keeps what its hooks are given."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.seen: list[tuple[str, History, dict[str, Failure]]] = []

    def execute(self, history: History, most: int) -> int:
        self.seen.append(("execute", history, {}))
        return len(history) + 1

    def on_failure(self, history: History, most: int) -> Decision:
        self.seen.append(("on_failure", history, {}))
        return Decision.RETRY if len(history) < most else Decision.REVERT

    def revert(self, history: History, flow_failures: dict[str, Failure]) -> None:
        self.seen.append(("revert", history, flow_failures))


def test_the_hooks_of_a_retry_are_given_its_history(backend: Backend) -> None:
    retry = Remembers("again", provides="value")
    flow = LinearFlow("f", retry=retry).add(Fails("try"))
    with pytest.raises((ValueError, WrappedFailure)):
        engines.run(flow, {"most": 2}, backend=backend)
    assert [(hook, len(history)) for hook, history, _ in retry.seen] == [
        ("execute", 0),
        ("on_failure", 1),
        ("execute", 1),
        ("on_failure", 2),
        ("revert", 2),
    ]
    _, history, flow_failures = retry.seen[-1]
    assert [(given, list(failures)) for given, failures in history] == [(1, ["try"]), (2, ["try"])]
    assert history.caused_by(ValueError, index=0)
    assert list(flow_failures) == ["try"]


def test_a_history_survives_the_engine_as_it_was(backend: Backend) -> None:
    each = ForEach([("a", {1}), ("b", {2}), ("c", {3})], "each", provides="value")
    flow = LinearFlow("f", retry=each).add(Fails("try", ("c", {3})))
    first = engines.load(flow, backend=backend, run_id="r")
    rounds = 0

    def stop(notice: Notice) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            first.suspend()

    first.atom_notifier.register("RETRYING", stop)
    first.run()
    assert first.state is FlowState.SUSPENDED
    second = engines.load(flow, backend=backend, run_id="r")
    second.run()
    assert list(second.storage.get_retry_history("each").provided_iter()) == [("a", {1}), ("b", {2}), ("c", {3})]


def test_a_rerun_begins_with_an_empty_history(backend: Backend) -> None:
    flow = LinearFlow("f", retry=Times(3, "again", provides="value")).add(Fails("try", 2))
    engines.run(flow, backend=backend, run_id="r")
    engine = engines.load(flow, backend=backend, run_id="r", rerun=True)
    engine.run()
    assert list(engine.storage.get_retry_history("again").provided_iter()) == [1, 2]


def test_a_reset_makes_everything_pending_and_tells_of_it(backend: Backend) -> None:
    flow = LinearFlow("f", retry=Times(3, "again", provides="value")).add(Fails("try", 1))
    engine = engines.load(flow, backend=backend, run_id="r")
    engine.run()
    told: list[tuple[str, str]] = []
    engine.atom_notifier.register("*", lambda notice: told.append((notice.atom, notice.state)))
    engine.notifier.register("*", lambda notice: told.append((notice.flow, notice.state)))
    engine.reset()
    assert told == [("again", "PENDING"), ("try", "PENDING"), ("f", "PENDING")]
    assert len(engine.storage.get_retry_history("again")) == 0
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert told.count(("try", "RUNNING")) == 1


def test_what_is_no_decision_fails_the_flow_and_says_so(backend: Backend) -> None:
    class Vague(Times):
        def on_failure(self, history: History) -> Decision:
            return None  # type: ignore[return-value]

    engine = engines.load(LinearFlow("f", retry=Vague(1, "vague", provides="value")).add(Fails("try")), backend=backend)
    with pytest.raises(WrappedFailure, match="returned None, not one of RETRY, REVERT, REVERT_ALL"):
        engine.run()
    assert sorted(engine.storage.get_failures()) == ["try", "vague"]


def test_deciders_see_the_results_of_those_that_were_not_ignored(backend: Backend) -> None:
    seen: list[dict[str, object]] = []

    def decide(history: dict[str, object]) -> bool:
        seen.append(history)
        return "no" not in history.values()

    yes, no, both, after = (_gives(word).atom(word) for word in ("yes", "no", "both", "after"))
    flow = GraphFlow("f").add(yes, no, both, after)
    flow.link(yes, both, decider=decide, decider_depth="ATOM").link(no, both, decider=decide, decider_depth="ATOM")
    engine = engines.load(flow.link(both, after), backend=backend)
    engine.run()
    assert seen == [{"yes": "yes", "no": "no"}] * 2
    assert [str(engine.storage.get_atom_state(name)) for name in ("both", "after")] == ["IGNORE", "SUCCESS"]
    with pytest.raises(NotFound):
        engine.storage.get("both")


def _gives(word: str) -> Any:
    @task(name=word)
    def give() -> str:
        return word

    return give


def test_only_retries_have_a_history() -> None:
    engine = engines.load(LinearFlow("f").add(_gives("a")))
    engine.run()
    with pytest.raises(NotPossible, match="'a' is no retry"):
        engine.storage.get_retry_history("a")


class Notes(Task):
    """Keeps notes, in an object that it goes on changing."""

    def execute(self) -> None:
        notes = {"seen": [1]}
        current().annotate(notes=notes)
        notes["seen"].append(2)


def test_what_a_task_notes_is_kept_as_it_was_then_and_over_a_reset(backend: Backend) -> None:
    engine = engines.load(LinearFlow("f").add(Notes("notes")), backend=backend)
    engine.run()
    assert engine.storage.get_metadata("notes") == {"notes": {"seen": [1]}}
    engine.reset()
    assert engine.storage.get_metadata("notes") == {"notes": {"seen": [1]}}


def test_a_retry_cannot_be_taken_out_while_its_flow_is_reverted(backend: Backend) -> None:
    def flow(retry: Retry | None) -> LinearFlow:
        return LinearFlow("f").add(
            LinearFlow("inner", retry=retry).add(Notes("notes"), Fails("try", inject={"value": 0}))
        )

    engine = engines.load(flow(Times(2, "again")), backend=backend, run_id="r")
    engine.atom_notifier.register("REVERTED", lambda notice: engine.suspend())
    engine.run()
    with pytest.raises(FlowChanged, match="retry 'again' is gone, and its flow is being reverted"):
        engines.run(flow(None), backend=backend, run_id="r")
    with pytest.raises((ValueError, WrappedFailure), match="0 is no good"):
        engines.run(flow(Times(2, "again")), backend=backend, run_id="r")


class Uses(Task):
    """Needs a thing to do its work, and to undo it."""

    def execute(self, thing: object) -> None: ...

    def revert(self, thing: object, result: object) -> None: ...


def test_what_was_never_called_has_nothing_to_revert(backend: Backend) -> None:
    first, make, uses = (Notes("first"), _gives("make").atom("make", provides="thing"), Uses("uses"))
    flow = GraphFlow("f").add(first, make, uses).link(make, uses)
    engine = engines.load(flow.link(first, make, decider=lambda history: False, decider_depth="ATOM"), backend=backend)
    with pytest.raises(FlowFailed, match="'uses' needs 'thing'"):
        engine.run()
    assert engine.state is FlowState.REVERTED
    assert str(engine.storage.get_atom_state("first")) == "REVERTED"


def test_a_run_whose_owner_is_gone_can_be_reset(backend: Backend) -> None:
    engine = engines.load(LinearFlow("f").add(Notes("a"), Notes("b")), backend=backend, run_id="r")
    steps = engine.run_iter()
    next(steps)
    claimed = backend.claim("flow:r", current_owner(), lease_s=30)  # a newer owner, which is gone at once
    with pytest.raises(OwnershipLost):
        list(steps)
    backend.renew(claimed, lease_s=0)
    later = engines.load(LinearFlow("f").add(Notes("a"), Notes("b")), backend=backend, run_id="r")
    later.reset()
    assert later.state is FlowState.PENDING
    later.run()
    assert later.state is FlowState.SUCCESS
