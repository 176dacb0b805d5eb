"""The differences that are meant, each with its reason, as narrow as can be; doc/from_taskflow.rst lists them.

A case counts as equal when each of its mismatches is excused by one of these. How often each was needed is reported.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from differential.comparing import Mismatch
from differential.recording import FLOW, Spec

Line = list[Any]
"""A line of an atom's log: what, and what went with it."""

Excuse = Callable[[Spec, Spec, Mismatch], bool]
"""Called with the outcomes, theirs and ours, and one mismatch."""


@dataclass(frozen=True)
class Difference:
    """A difference that is meant; a ``whole`` one excuses all that differs in a case, for theirs has gone wrong early.

    Whole ones come last, and count only where TaskFlow goes wrong in the first of the orders that it may take, and is
    equal in none of the others.
    """

    name: str
    reason: str
    excuses: Excuse
    whole: bool = False


def excused(theirs: Spec, ours: Spec, mismatches: Sequence[Mismatch]) -> set[str] | None:
    """Return the names of the differences that explain all mismatches; None when one is left unexplained.

    Nothing explains another order from compilation.
    """
    needed: set[str] = set()
    for mismatch in mismatches:
        name = next((one.name for one in DIFFERENCES if one.excuses(theirs, ours, mismatch)), None)
        if name is None or mismatch.kind == "order":
            return None
        needed.add(name)
    return needed & WHOLE or needed


def _raised(outcome: Spec, text: str) -> bool:
    return any(text in message for message in outcome["raised"][-1] or ())


def _overlooks(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """While nothing had failed in the round, a ready atom was not started, and another was from start to end."""
    before: dict[str, set[str]] = {name: set() for name in theirs["order"]}
    for name, behind in theirs["order"].items():
        for other in behind:
            before[other].add(name)
    states = dict.fromkeys(before, "PENDING")
    ready_at_start: dict[str, set[str]] = {}
    failed = False
    for who, what, *rest in theirs["log"]:
        if what != "state" or who == FLOW:
            continue
        if rest[0] == "RUNNING":
            done = {name for name, state in states.items() if state in ("SUCCESS", "IGNORE")}
            ready_at_start[who] = {name for name in states if states[name] == "PENDING" and before[name] <= done}
        states[who] = rest[0]
        waits = not failed and any(states[name] == "PENDING" for name in ready_at_start.get(who, ()))
        if waits and rest[0] in ("SUCCESS", "FAILURE"):
            return True
        failed = rest[0] == "FAILURE" or (failed and rest[0] != "RETRYING")
    return theirs["ends"][-1] == "RUNNING" and _raised(theirs, "Flow transition from 'RUNNING' to 'SUSPENDED'")


def _un_ignores(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """A new round reset an ignored atom, and not the atom that the decider had said no about."""
    log = theirs["log"]
    roots: dict[str, str] = {}
    root = ""
    for place, (who, what, *rest) in enumerate(log):
        if what == "decide":
            root = ""
        elif rest == ["IGNORE", "PENDING"]:
            roots[who] = root = root or who
        elif rest[:1] == ["RETRYING"]:
            resets = itertools.takewhile(lambda line: line[0] != who, log[place + 1 :])  # noqa: B023  used up at once
            again = {name for name, *line in resets if line == ["state", "PENDING", "IGNORE"]}
            if any(roots[name] not in again for name in again):
                return True
    return False


def _no_argument(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """They broke off; or they gave the failure of a former round as an argument, where none else looks like one."""
    texts = ("was not produced by any accessible provider", "but was unable to perform successful extraction")
    if theirs["ends"][-1] == "FAILURE" and any(_raised(theirs, text) for text in texts):
        return True
    calls = [rest[0] for _, what, *rest in theirs["log"] if what in ("execute", "revert")]
    given = [value for call in calls for name, value in call.items() if name not in TOLD]
    return any(str(value).startswith("<") for value in given)


def _ignored_retry(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    return theirs["ends"][-1] == "FAILURE" and _raised(theirs, "Unable to fetch most recent retry failures")


def _stale_failures(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """What is told beside ours failed in a round that was retried since."""
    if mismatch.kind == "raised" and theirs["ends"][-1] == "REVERTED":
        return Counter(mismatch.ours) < Counter(mismatch.theirs)
    if mismatch.kind != "failures" or len(mismatch.theirs or ()) != len(mismatch.ours or ()):
        return False
    return all(_failures_fit(one, other) for one, other in zip(mismatch.theirs, mismatch.ours, strict=True))


def _failures_fit(theirs: dict[str, str], ours: dict[str, str]) -> bool:
    """Whether each of ours is among theirs, lacks there, or stands there with what it was in a former round."""
    return all(name not in theirs or _is_stale(theirs[name], message) for name, message in ours.items())


def _is_stale(theirs: str, ours: str) -> bool:
    """Whether their message is ours or one before it; those of retries that have nothing left carry no number."""
    turns = [re.search(r" (\d+)>$", message) for message in (theirs, ours)]
    return theirs == ours or None in turns or int(turns[0][1]) < int(turns[1][1])  # type: ignore[index]


def _both_failures(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    if mismatch.kind != "raised" or theirs["ends"][-1] != "FAILURE":
        return False
    return set(mismatch.theirs or ()) < set(mismatch.ours or ())


def _undecided(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    return theirs["ends"][-1] == "FAILURE" and _raised(theirs, " on_failure ")


def _stale_result(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    if mismatch.kind != "results" or mismatch.ours is not None:
        return False
    return ours["atoms"].get(mismatch.where) in ("PENDING", "IGNORE") and str(mismatch.theirs).startswith("<")


def _stale_history(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """All is equal but for a failure of a retry's own in the history that it is executed with."""
    return mismatch.kind == "log" and _aligned(mismatch.theirs, mismatch.ours)


def _aligned(
    theirs: Sequence[Line] | None,
    ours: Sequence[Line] | None,
    theirs_more: Callable[[Line], bool] = lambda line: False,
    ours_more: Callable[[Line], bool] = lambda line: False,
) -> bool:
    """Whether the lines are the same one by one, but for those that one side may have more, and stale histories."""
    left = list(ours or ())
    for line in theirs or ():
        while left and line != left[0] and _without_own(line) != left[0] and ours_more(left[0]):
            del left[0]
        if left and (line == left[0] or _without_own(line) == left[0]):
            del left[0]
        elif not theirs_more(line):
            return False
    return all(ours_more(line) for line in left)


def _without_own(line: Line) -> Line:
    method, *given = line
    if method != "execute" or "history" not in given[0]:
        return line
    return [method, {**given[0], "history": {**given[0]["history"], "own": None}}]


def _asked_in_vain(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """All is equal but for questions to a decider that they did not ask, and what was ignored for the answer."""
    if mismatch.kind == "atoms":
        return (mismatch.theirs, mismatch.ours) == ("PENDING", "IGNORE")
    return mismatch.kind == "log" and _aligned(
        mismatch.theirs, mismatch.ours, ours_more=lambda line: line[0] == "decide" or "IGNORE" in line
    )


def _suspended_between_siblings(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """Between the start of the atom whose notice led to a suspend, and the suspend, others were started or ended."""
    log = [(who, rest[0]) for who, what, *rest in theirs["log"] if what == "state"]
    for place, line in enumerate(log):
        if line == (FLOW, "SUSPENDING"):
            trigger = log[place - 1][0]
            start = max(at for at in range(place) if log[at][0] == trigger and log[at][1] in UNDER_WAY)
            behind = itertools.takewhile(lambda line: line[0] != FLOW, log[place + 1 :])
            if any(who not in (trigger, FLOW) for who, _ in (*log[start:place], *behind)):
                return True
    return False


def _one_of_many(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """They have no value; ours is what a task has given that ended well."""
    if mismatch.kind != "values" or mismatch.theirs is not None:
        return False
    given = (ours["results"].get(name) for name, state in ours["atoms"].items() if state == "SUCCESS")
    values = mismatch.ours if isinstance(mismatch.ours, list) else [mismatch.ours]
    parts = [part for value in given for part in (value if isinstance(value, list) else [value])]
    return all(value in parts for value in values)


def _not_asked_any_more(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    """All is equal but for questions to a retry, where a revert has failed."""
    if mismatch.kind != "log" or "REVERT_FAILURE" not in ours["atoms"].values():
        return False
    return _aligned(mismatch.theirs, mismatch.ours, theirs_more=lambda line: line[0] == "on_failure")


def _failure_as_value(theirs: Spec, ours: Spec, mismatch: Mismatch) -> bool:
    if mismatch.kind != "values":
        return False
    values = mismatch.theirs if isinstance(mismatch.theirs, list) else [mismatch.theirs]
    real = [value for value in values if not str(value).startswith("<")]
    return mismatch.ours == (real if len(real) > 1 else real[0] if real else None)


TOLD = ("history", "result", "flow_failures")
UNDER_WAY = ("RUNNING", "REVERTING", "RETRYING")

DIFFERENCES = (
    Difference(
        "failures of former rounds",
        "TaskFlow tells failures of rounds that were retried since, and not always those of atoms that fail together.",
        _stale_failures,
    ),
    Difference(
        "result of a former round",
        "TaskFlow still gives the failure of a task that is PENDING again since; we give none.",
        _stale_result,
    ),
    Difference(
        "retry's own failure of a former round",
        "TaskFlow's history still has it when the retry is executed anew; ours begins empty.",
        _stale_history,
    ),
    Difference(
        "decider asked in vain",
        "What one atom's end makes ready is decided at once by us, by TaskFlow unless another has failed meanwhile.",
        _asked_in_vain,
    ),
    Difference(
        "symbol of several providers",
        "TaskFlow has no value for a symbol while one of its providers has been reverted; we have that of the others.",
        _one_of_many,
    ),
    Difference(
        "not asked any more",
        "Where a revert has failed, TaskFlow still asks retries about other failures, for nothing; we do not.",
        _not_asked_any_more,
    ),
    Difference(
        "failed revert hides the failure",
        "TaskFlow raises the failure of the revert alone; we raise it beside the failures that made us revert.",
        _both_failures,
    ),
    Difference(
        "failure as a value",
        "TaskFlow gives the failure of an atom as the value of what the atom provides. We give none.",
        _failure_as_value,
    ),
    Difference(
        "overlooked atom",
        "TaskFlow looks at an atom before it ignores one before it, and never again: a flow may stay RUNNING.",
        _overlooks,
        whole=True,
    ),
    Difference(
        "retry that cannot decide",
        "Where on_failure raises, TaskFlow breaks off and leaves everything as it is. We revert everything.",
        _undecided,
        whole=True,
    ),
    Difference(
        "suspend between siblings",
        "TaskFlow starts all that is ready before it suspends, we nothing more; what fails later meets other states.",
        _suspended_between_siblings,
        whole=True,
    ),
    Difference(
        "ignored by another branch",
        "A new round of a flow makes TaskFlow run what comes behind, though a decider elsewhere said no. We ignore it.",
        _un_ignores,
        whole=True,
    ),
    Difference(
        "argument of an ignored or hidden provider",
        "TaskFlow breaks off, the task RUNNING, or gives it an old failure. Ours fails, or does without it if it may.",
        _no_argument,
        whole=True,
    ),
    Difference(
        "retry that was ignored",
        "TaskFlow breaks off when a task fails whose retry was ignored. We ask the retry around it.",
        _ignored_retry,
        whole=True,
    ),
)

WHOLE = frozenset(one.name for one in DIFFERENCES if one.whole)
