"""A slow reference of how a flow without retries and deciders behaves, to compare the core with.

It reads the declared flow, and searches where the core counts. Messages are told to it one by one; it answers what may
start, and how a run ends when nothing is in flight. It replaces its sets and never changes them: a copy is a snapshot.
"""

from __future__ import annotations

from flowbook.atoms import Atom
from flowbook.flows import Flow, GraphFlow, LinearFlow

IN_THE_WAY = {"RUNNING", "SUCCESS", "FAILURE", "REVERTING"}


class NotWired(Exception):
    """The links of a graph go in a circle, or a symbol has two providers."""


class Layout:
    """Of each atom, by name: those that come ``before`` it, and whose results it sees, the nearest first."""

    def __init__(self, flow: Flow) -> None:
        self.atoms: dict[str, Atom] = {}
        self.before: dict[str, set[str]] = {}
        self.visible: dict[str, list[str]] = {}
        self._walk(flow, set(), [])
        self.behind = {name: {n for n in self.atoms if name in self.before[n]} for name in self.atoms}

    def _walk(self, item: Atom | Flow, before: set[str], visible: list[str]) -> list[str]:
        if isinstance(item, Atom):
            self.atoms[item.name], self.before[item.name] = item, before
            self.visible[item.name] = visible[::-1]
            return [item.name]
        inside: dict[Atom | Flow, list[str]] = {}
        for child, earlier in arranged(item).items():
            prior = [name for sibling in inside if sibling in earlier for name in inside[sibling]]
            inside[child] = self._walk(child, before | set(prior), visible + prior)
        return [name for names in inside.values() for name in names]


def arranged(flow: Flow) -> dict[Atom | Flow, set[Atom | Flow]]:
    """Return the children in an order that they may run in, each with all those that come before it."""
    if not isinstance(flow, GraphFlow):
        linear = isinstance(flow, LinearFlow)
        return {child: set(flow.children[:at]) if linear else set() for at, child in enumerate(flow.children)}
    linked: dict[Atom | Flow, set[Atom | Flow]] = {child: set() for child in flow.children}
    for link in flow.links:
        linked[link.target].add(link.source)
    for child in flow.children:
        for symbol in child.requires:
            givers = [c for c in flow.children if c is not child and symbol in c.provides and flow.resolves(c, child)]
            if len(givers) > 1:
                raise NotWired(child.name, symbol)
            linked[child].update(givers)
    found: dict[Atom | Flow, set[Atom | Flow]] = {}
    while len(found) < len(linked):
        child = next((c for c in linked if c not in found and linked[c] <= found.keys()), None)
        if child is None:
            raise NotWired(flow.name)
        found[child] = linked[child].union(*(found[sibling] for sibling in linked[child]))
    return found


class Reference:
    """What a flow of this layout may do: ``state`` by atom, and what else a process that dies leaves behind."""

    def __init__(self, layout: Layout, inputs: frozenset[str], absent: dict[str, int]) -> None:
        self.layout, self.inputs, self.absent = layout, inputs, absent
        self.state = dict.fromkeys(layout.atoms, "PENDING")
        self.flow, self.reverting = "PENDING", False
        self.failed: set[str] = set()
        self.in_flight: set[str] = set()
        self.owed: set[str] = set()  # ready or running when the first atom failed: these are still executed

    def enter(self) -> None:
        self.flow, self.in_flight = "RUNNING", set()  # what is RUNNING or REVERTING now was interrupted

    def ended(self, name: str, failed: bool) -> None:
        self.in_flight = self.in_flight - {name}
        executed = self.state[name] == "RUNNING"
        if executed and failed:
            if not self.reverting:
                self.owed = {n for n in self.state if self.state[n] == "RUNNING" or self._is_ready(n)}
            self.reverting, self.failed = True, self.failed | {name}
        self.owed = self.owed - {name}
        succeeded, failure = ("SUCCESS", "FAILURE") if executed else ("REVERTED", "REVERT_FAILURE")
        self._set(name, failure if failed else succeeded)

    def suspended(self, withdrawn: list[str]) -> None:
        for name in withdrawn:
            before_revert = "FAILURE" if name in self.failed else "SUCCESS"
            self._set(name, "PENDING" if self.state[name] == "RUNNING" else before_revert)
        self.in_flight = self.in_flight - set(withdrawn)
        self.flow = "SUSPENDING"

    def startable(self) -> set[str]:
        """Return the atoms that may start now, were there room for all."""
        if self.flow != "RUNNING":
            return set()
        interrupted = set(filter(self._is_interrupted, self.state))
        if "REVERT_FAILURE" in self.state.values():
            return interrupted
        if not self.reverting:
            return interrupted | {n for n in self.state if self._is_ready(n)}
        return self.owed - self.in_flight | {n for n in self.state if self._may_revert(n)}

    def started(self, name: str) -> str:
        executes = self.state[name] in ("PENDING", "RUNNING")
        self._set(name, "RUNNING" if executes else "REVERTING")
        self.in_flight = self.in_flight | {name}
        return "EXECUTE" if executes else "REVERT"

    def settled(self) -> str:
        """Return the state of the flow now that all that may start was started."""
        if not self.in_flight:
            if "REVERT_FAILURE" in self.state.values() and not any(map(self._is_interrupted, self.state)):
                self.flow = "FAILURE"
            elif self.reverting and not self.owed and IN_THE_WAY.isdisjoint(self.state.values()):
                self.flow = "REVERTED"
            elif not self.reverting and set(self.state.values()) <= {"SUCCESS"}:
                self.flow = "SUCCESS"
            else:
                assert self.flow == "SUSPENDING", "stuck: nothing is in flight, and something is left"
                self.flow = "SUSPENDED"
        return self.flow

    def source(self, name: str, symbol: str) -> tuple[str, int | str | None] | None:
        """Return who gives an atom this symbol, and which part of what it gives; None when nobody does."""
        if symbol in self.inputs:
            return f"input {symbol}", None
        for other in self.layout.visible[name]:
            parts = self.layout.atoms[other].save_as
            has_result = self.state[other] in ("SUCCESS", "REVERTING") and other not in self.failed
            if has_result and symbol in parts and (other not in self.absent or parts[symbol] != self.absent[other]):
                return other, parts[symbol]
        return None

    def _set(self, name: str, state: str) -> None:
        self.state = {**self.state, name: state}

    def _is_ready(self, name: str) -> bool:
        return self.state[name] == "PENDING" and all(self.state[n] == "SUCCESS" for n in self.layout.before[name])

    def _is_interrupted(self, name: str) -> bool:
        return self.state[name] in ("RUNNING", "REVERTING") and name not in self.in_flight

    def _may_revert(self, name: str) -> bool:
        if name in self.in_flight or self.state[name] not in ("SUCCESS", "FAILURE", "REVERTING"):
            return False
        return all(n not in self.owed and self.state[n] not in IN_THE_WAY for n in self.layout.behind[name])
