"""Runs cases with the package under test, by its native words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flowbook
from differential.building import Builder, Words
from differential.recording import FLOW, Recorder, Spec, Stuck, items_of, plain
from flowbook import Failure, FlowState, Notice, WrappedFailure, engines
from flowbook.exceptions import NotFound
from flowbook.flows.compilation import Compilation
from flowbook.persistence.memory import MemoryBackend

MOST_RUNS = 8

BUILDER = Builder(
    Words(
        flows={"linear": flowbook.LinearFlow, "unordered": flowbook.UnorderedFlow, "graph": flowbook.GraphFlow},
        task=flowbook.Task,
        retries={
            "times": flowbook.Times,
            "foreach": flowbook.ForEach,
            "parameterized": flowbook.ParameterizedForEach,
            "always_revert": flowbook.AlwaysRevert,
            "always_revert_all": flowbook.AlwaysRevertAll,
            "script": flowbook.Retry,
        },
        decisions=flowbook.Decision,
    )
)


class Player:
    """One case on its way through our engine."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.recorder = Recorder(spec)
        self.backend = MemoryBackend()
        self.engine: Any = None

    def outcome(self) -> Spec:
        """Run the case to its end; return all that is compared."""
        self.load()
        ends: list[str] = []
        raised: list[list[str] | None] = []
        try:
            while len(ends) < MOST_RUNS and (not ends or ends[-1] == FlowState.SUSPENDED):
                if ends and self.spec["reload"]:
                    self.load()
                raised.append(self.run())
                ends.append(str(self.engine.state))
        except Stuck:
            ends.append("STUCK")
        storage = self.engine.storage
        names = [atom["name"] for atom in items_of(self.spec["flow"])]
        return {
            "seed": self.spec["seed"],
            "ends": ends,
            "raised": raised,
            "atoms": {name: str(storage.get_atom_state(name)) for name in names},
            "values": {key: plain(value) for key, value in storage.fetch_all().items()},
            "results": self.results(),
            "order": order_of(self.engine.compilation),
            "log": self.recorder.log,
        }

    def load(self) -> None:
        flow = BUILDER.build(self.spec["flow"], self.recorder)
        options = {key: value for key, value in self.spec["options"].items() if value}
        store = self.spec["store"] if self.engine is None else None
        self.engine = engines.load(flow, store, backend=self.backend, run_id="case", **options)
        self.recorder.suspend = self.engine.suspend
        self.engine.notifier.register("*", self._heard)
        self.engine.atom_notifier.register("*", self._heard)

    def run(self) -> list[str] | None:
        """Run once; return what was raised."""
        try:
            self.engine.run()
        except WrappedFailure as error:
            return sorted(str(plain(failure)) for failure in error)
        except Exception as error:
            return [str(plain(Failure.from_exception(error)))]
        return None

    def results(self) -> dict[str, Any]:
        """Return what storage gives for each task that has a result or a failure."""
        found = {}
        for atom in items_of(self.spec["flow"]):
            if atom["kind"] == "task":
                try:
                    found[atom["name"]] = plain(self.engine.storage.get(atom["name"]))
                except NotFound:
                    continue
        return found

    def _heard(self, notice: Notice) -> None:
        self.recorder.tell(notice.atom or FLOW, str(notice.state), str(notice.old_state))


def order_of(compilation: Compilation) -> dict[str, list[str]]:
    """Return which atoms come after each."""
    plan = compilation.plan
    after: list[frozenset[int]] = [frozenset()] * len(plan.names)
    for node in reversed(range(len(plan.names))):
        successors: Sequence[int] = plan.successors[node]
        after[node] = frozenset(successors).union(*(after[successor] for successor in successors))
    atoms = list(plan.atom_nodes())
    return {plan.names[node]: sorted(plan.names[one] for one in after[node] if plan.atoms[one]) for node in atoms}
