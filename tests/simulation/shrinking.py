"""Makes a case that fails as small as it can: drops atoms, flows, links and faults while it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from simulation.drawing import Case, Part, Step
from simulation.playing import Play

MOST_TRIES = 3000

StepKind = TypeVar("StepKind", bound=Step)


def failure_of(case: Case) -> Exception | None:
    """Play a case; return what goes wrong."""
    try:
        Play(case).run()
    except Exception as error:
        return error
    return None


def shrink(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return the smallest case found that ``fails`` like this one: the first smaller one, until none fails."""
    for _ in range(MOST_TRIES):
        smaller = next((one for one in smaller_cases(case) if fails(one)), None)
        if smaller is None:
            break
        case = smaller
    return case


def smaller_cases(case: Case) -> Iterator[Case]:
    """Yield the case with one thing less, the largest things first."""
    yield from (replace(case, flow=flow) for flow in _smaller_parts(case.flow))
    for field in ("inputs", "fails", "recovers", "revert_fails", "short"):
        for name in sorted(getattr(case, field)):
            yield replace(case, **{field: getattr(case, field) - {name}})
    quiet = (
        ("suspends", 0.0),
        ("crashes", 0.0),
        ("listening", False),
        ("window", 1),
        ("defer_reverts", False),
        ("never_resolve", False),
    )
    yield from (replace(case, **{field: value}) for field, value in quiet if getattr(case, field) != value)


def _smaller_parts(part: Part) -> Iterator[Part]:
    for at, child in enumerate(part.children):
        before, behind = part.children[:at], part.children[at + 1 :]
        links = tuple(link for link in part.links if child.name not in link)
        voters = tuple(voter for voter in part.voters if child.name not in (voter.source, voter.target))
        yield replace(part, children=before + behind, links=links, voters=voters)
        if isinstance(child, Part):
            yield replace(part, children=(*before, *child.children, *behind), links=links, voters=voters)
        smaller = _smaller_parts(child) if isinstance(child, Part) else _smaller_steps(child)
        yield from (replace(part, children=(*before, one, *behind)) for one in smaller)
    for link in part.links:
        yield replace(part, links=tuple(other for other in part.links if other != link))
    yield from _without_voters(part)
    yield from _with_smaller_retry(part)


def _without_voters(part: Part) -> Iterator[Part]:
    for at, voter in enumerate(part.voters):
        before, behind = part.voters[:at], part.voters[at + 1 :]
        link = (voter.source, voter.target)
        yield replace(part, voters=before + behind, links=tuple(dict.fromkeys((*part.links, link))))
        smaller = [replace(voter, says=(said,)) for said in voter.says if len(voter.says) > 1]
        if voter.depth != "ATOM":
            smaller.append(replace(voter, depth="ATOM"))
        yield from (replace(part, voters=(*before, one, *behind)) for one in smaller)


def _with_smaller_retry(part: Part) -> Iterator[Part]:
    if part.retry is None:
        return
    yield replace(part, retry=None)
    answers = part.retry.answers
    yield from (replace(part, retry=one) for one in _smaller_steps(part.retry))
    for at in range(len(answers) - 1):
        yield replace(part, retry=replace(part.retry, answers=answers[:at] + answers[at + 1 :]))
    if answers[-1] != "REVERT":
        yield replace(part, retry=replace(part.retry, answers=(*answers[:-1], "REVERT")))


def _smaller_steps(step: StepKind) -> Iterator[StepKind]:
    plain = (("provides", ()), ("requires", ()), ("reverts_with", ()), ("lenient", False), ("priority", 0))
    yield from (replace(step, **{field: value}) for field, value in plain if getattr(step, field) != value)
