"""Runs cases with TaskFlow: specs as lines of JSON on stdin, outcomes as lines on stdout.

A program for the interpreter of the other environment; imports nothing of the package under test. TaskFlow keeps what
is ready, and what has ended, in sets whose order changes from one process to the next. Here an *order* is asked for:
by 0 to 3 atoms start in the order of the drawing. Among what has ended together, by 0 and 2 failures are looked at
first, by 1 what has started first; 2 and 3 else follow the order in which the engine under test ended the same atoms.
Any other number shuffles both sets.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from taskflow import deciders, engines, retry, states, task
from taskflow.engines.action_engine import builder, traversal
from taskflow.exceptions import NotFound, WrappedFailure
from taskflow.patterns import graph_flow, linear_flow, unordered_flow
from taskflow.types.failure import Failure
from taskflow.utils import persistence_utils

from differential.building import Builder, Words
from differential.recording import FLOW, Recorder, Spec, Stuck, items_of, plain

MOST_RUNS = 6
LONGEST_S = 10.0


class GraphFlow(graph_flow.Flow):
    """A graph flow that takes a depth by its name."""

    def link(self, u: Any, v: Any, decider: Any = None, decider_depth: Any = None) -> Any:
        depth = deciders.Depth.translate(decider_depth) if decider_depth else None
        return super().link(u, v, decider=decider, decider_depth=depth)


BUILDER = Builder(
    Words(
        flows={"linear": linear_flow.Flow, "unordered": unordered_flow.Flow, "graph": GraphFlow},
        task=task.Task,
        retries={
            "times": retry.Times,
            "foreach": retry.ForEach,
            "parameterized": retry.ParameterizedForEach,
            "always_revert": retry.AlwaysRevert,
            "always_revert_all": retry.AlwaysRevertAll,
            "script": retry.Retry,
        },
        decisions=retry.Decision,
    )
)


class Ready(set):  # type: ignore[type-arg]
    """The atoms that are ready, in the order that is asked for."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=lambda atom: atom.place))


class Done(set):  # type: ignore[type-arg]
    """The attempts that have ended, in the order that is asked for."""

    def pop(self) -> Any:
        first = min(super().__iter__(), key=lambda future: future.atom.player.turn_of(future))
        self.remove(first)
        first.atom.player.looks_at(first)
        return first


class Memory(builder.MachineMemory):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.next_up, self.done = Ready(), Done()


builder.MachineMemory = Memory


class Player:
    """One case on its way through TaskFlow."""

    def __init__(self, spec: Spec, order: int = 0, endings: Sequence[str] = ()) -> None:
        self.spec = spec
        self.recorder = Recorder(spec)
        names = [atom["name"] for atom in items_of(spec["flow"])]
        self._order = order
        self._endings = list(endings)
        if order > 3:
            Random(order).shuffle(names)
        self.places = {name: place for place, name in enumerate(names)}
        self.detail: Any = None
        self.engine: Any = None

    def outcome(self) -> Spec:
        """Run the case to its end; return all that is compared."""
        self.load()
        ends: list[str] = []
        raised: list[Any] = []
        try:
            while len(ends) < MOST_RUNS and (not ends or ends[-1] == states.SUSPENDED):
                if ends and self.spec["reload"]:
                    self.load()
                raised.append(self.run())
                ends.append(self.engine.storage.get_flow_state())
        except Stuck:
            ends.append("STUCK")
        names = [atom["name"] for atom in items_of(self.spec["flow"])]
        return {
            "seed": self.spec["seed"],
            "ends": ends,
            "raised": raised,
            "atoms": {name: self.engine.storage.get_atom_state(name) for name in names},
            "values": {key: plain(value) for key, value in self.engine.storage.fetch_all().items()},
            "results": self.results(),
            "order": self.order(),
            "log": self.recorder.log,
        }

    def load(self) -> None:
        flow = BUILDER.build(self.spec["flow"], self.recorder)
        store = self.spec["store"] if self.detail is None else None
        if self.detail is None:
            self.detail = persistence_utils.create_flow_detail(flow)
        options = {key: value for key, value in self.spec["options"].items() if value}
        self.engine = engines.load(flow, flow_detail=self.detail, store=store, engine="serial", **options)
        self.engine.compile()
        for node, data in self.engine.compilation.execution_graph.nodes(data=True):
            if data["kind"] in ("task", "retry"):
                node.place, node.player = self.places[node.name], self
        self.recorder.suspend = self.engine.suspend
        self.engine.notifier.register("*", self._heard_of_flow)
        self.engine.atom_notifier.register("*", self._heard_of_atom)

    def turn_of(self, future: Any) -> tuple[int, ...]:
        """Return when this one of the attempts that have ended together is looked at."""
        failed = isinstance(future.result()[1], Failure)
        shuffled = zlib.crc32(f"{self._order} {future.atom.name} {len(self.recorder.log)}".encode())
        ending = self._ending_of(future.atom.name)
        first = {0: (not failed,), 1: (), 2: (not failed, ending), 3: (ending,)}.get(self._order, (shuffled,))
        return *first, -future.atom.priority, future.atom.place

    def looks_at(self, future: Any) -> None:
        """Take an ending off the list of those that are still to come."""
        if future.atom.name in self._endings:
            self._endings.remove(future.atom.name)

    def _ending_of(self, name: str) -> int:
        """Return the place of the atom's next ending; what the other engine did not end comes last."""
        return self._endings.index(name) if name in self._endings else len(self._endings)

    def run(self) -> list[str] | None:
        """Run once; return what was raised."""
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        try:
            self.engine.run()
        except WrappedFailure as error:
            return sorted(str(plain(failure)) for failure in error)
        except Exception as error:
            return [str(plain(Failure.from_exception(error)))]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return None

    def order(self) -> dict[str, list[str]]:
        """Return which atoms come after each."""
        graph = self.engine.compilation.execution_graph
        found = {}
        for node, data in graph.nodes(data=True):
            if data["kind"] in ("task", "retry"):
                after = traversal.depth_first_iterate(graph, node, traversal.Direction.FORWARD)
                found[node.name] = sorted(one.name for one in after)
        return found

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

    def _heard_of_flow(self, state: str, details: Any) -> None:
        self.recorder.tell(FLOW, state, details["old_state"])

    def _heard_of_atom(self, state: str, details: Any) -> None:
        self.recorder.tell(details.get("task_name") or details["retry_name"], state, details["old_state"] or "PENDING")


def _give_up(*_: Any) -> None:
    raise Stuck


def main() -> None:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _give_up)
    for line in sys.stdin:
        order, endings, spec = json.loads(line)
        try:
            told = json.dumps(Player(spec, order, endings).outcome())
        except Exception as error:
            told = json.dumps({"broken": f"{type(error).__name__}: {error}"})
        print(told, flush=True)


if __name__ == "__main__":
    main()
