"""What the scripted atoms of a case do, whichever engine runs them, and the record of what happened to them.

Imported on both sides, so it knows neither package. A *spec* is the plain data that `drawing.draw` gives; each line of
the *log* is a list: who, what, and what went with it.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Spec = dict[str, Any]
MOST_LINES = 4_000
LONGEST_VALUE = 60
FLOW = ""
"""Stands in the log for the flow, where else an atom's name does."""


class Scripted(Exception):
    """A failure that the script asks for."""


class Stuck(BaseException):
    """The engine goes round in circles: not an Exception, so that no engine keeps it."""


class Recorder:
    """Plays the part of every atom of one case, counting its calls, and keeps the log."""

    def __init__(self, spec: Spec) -> None:
        self.log: list[list[Any]] = []
        self.suspend: Callable[[], None] = lambda: None
        self._calls: Counter[tuple[str, str]] = Counter()
        self._told: Counter[tuple[str, str]] = Counter()
        self._suspends = {(atom, state, turn) for atom, state, turn in spec["suspends"]}

    def tell(self, atom: str, state: str, old: str) -> None:
        """Keep a notice; suspend the engine when the case says so."""
        self._add(atom, "state", state, old)
        turn = self._told[atom, state]
        self._told[atom, state] += 1
        if (atom, state, turn) in self._suspends:
            self.suspend()

    def execute(self, step: Spec, arguments: Mapping[str, Any]) -> Any:
        """Return what this turn of a task gives, which depends on all that it takes; or fail."""
        turn = self._turn(step, "execute", arguments)
        arguments = plain(dict(arguments))
        value = f"{step['name']}.{turn}"
        if arguments:
            value += "(" + ",".join(f"{key}={arguments[key]}" for key in sorted(arguments)) + ")"
        value = value if len(value) <= LONGEST_VALUE else f"{step['name']}.{turn}~{zlib.crc32(value.encode()):08x}"
        names = step["provides"]
        return value if len(names) < 2 else [f"{value}[{at}]" for at in range(len(names))]

    def revert(self, step: Spec, result: Any, failures: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        """Take back a task, or fail."""
        self._turn(step, "revert", {**arguments, "result": plain(result), "flow_failures": _messages(failures)})

    def try_again(self, step: Spec, history: Any, arguments: Mapping[str, Any]) -> int:
        """Note that a retry begins a round; return which, or fail."""
        return self._turn(step, "execute", {**arguments, "history": _rounds(history)})

    def on_failure(self, step: Spec, history: Any, arguments: Mapping[str, Any]) -> int:
        """Note that a retry is asked; return after how many failures, or fail.

        The answer follows from the history alone: an engine that is resumed may ask again.
        """
        rounds = _rounds(history)
        turn = sum(len(failures) for _, failures in rounds["rounds"]) - 1
        self._add(step["name"], "on_failure", {**arguments, "history": rounds})
        if turn in step["on_failure_fails"]:
            raise Scripted(f"{step['name']} on_failure {turn}")
        return turn

    def give_up(self, step: Spec, history: Any, failures: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        """Note that a retry is reverted, or fail."""
        given = {**arguments, "history": _rounds(history), "flow_failures": _messages(failures)}
        self._turn(step, "revert", given)

    def decide(self, link: Spec, history: Mapping[str, Any]) -> bool:
        """Return the vote of a link, which follows from the history alone."""
        told = {name: plain(history[name]) for name in sorted(history)}
        vote: bool = link["votes"][zlib.crc32(str(told).encode()) % len(link["votes"])]
        self._add(f"{link['from']}>{link['to']}", "decide", told, vote)
        return vote

    def _turn(self, step: Spec, method: str, arguments: Mapping[str, Any]) -> int:
        name = step["name"]
        turn = self._calls[name, method]
        self._calls[name, method] += 1
        self._add(name, method, dict(arguments))
        if turn in step.get(f"{method}_fails", ()):
            raise Scripted(f"{name} {method} {turn}")
        return turn

    def _add(self, *line: Any) -> None:
        if len(self.log) >= MOST_LINES:
            raise Stuck
        self.log.append(plain(line))


def plain(value: Any) -> Any:
    """Return a value as it can be compared across processes: a failure as its message."""
    if isinstance(value, (str, int, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    text = str(getattr(value, "exception_str", value))
    return "<nothing left to try>" if _NOTHING_LEFT.search(text) else f"<{text}>"


_NOTHING_LEFT = re.compile("No elements left in collection|no value left to try")


def items_of(part: Spec) -> Iterator[Spec]:
    """Yield all atoms within, in the order of the drawing, each retry before its flow."""
    if part["kind"] != "flow":
        yield part
        return
    if part["retry"]:
        yield part["retry"]
    for child in part["children"]:
        yield from items_of(child)


def _rounds(history: Any) -> dict[str, Any]:
    rounds = [[plain(result), _messages(failures)] for result, failures in history]
    return {"rounds": rounds, "own": plain(history.failure)}


def _messages(failures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(failures[name]) for name in sorted(failures)}
