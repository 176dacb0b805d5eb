"""Makes a case that fails as small as it can: drops atoms, flows, links and faults while it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from simulation.drawing import Case, Part, Step
from simulation.playing import Play

MOST_TRIES = 3000


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
    for field in ("inputs", "fails", "revert_fails", "short"):
        for name in sorted(getattr(case, field)):
            yield replace(case, **{field: getattr(case, field) - {name}})
    quiet = (("suspends", 0.0), ("crashes", 0.0), ("listening", False), ("window", 1))
    yield from (replace(case, **{field: value}) for field, value in quiet if getattr(case, field) != value)


def _smaller_parts(part: Part) -> Iterator[Part]:
    for at, child in enumerate(part.children):
        before, behind = part.children[:at], part.children[at + 1 :]
        links = tuple(link for link in part.links if child.name not in link)
        yield replace(part, children=before + behind, links=links)
        if isinstance(child, Part):
            yield replace(part, children=(*before, *child.children, *behind), links=links)
        smaller = _smaller_parts(child) if isinstance(child, Part) else _smaller_steps(child)
        yield from (replace(part, children=(*before, one, *behind)) for one in smaller)
    for link in part.links:
        yield replace(part, links=tuple(other for other in part.links if other != link))


def _smaller_steps(step: Step) -> Iterator[Step]:
    plain = (("provides", ()), ("requires", ()), ("reverts_with", ()), ("lenient", False), ("priority", 0))
    yield from (replace(step, **{field: value}) for field, value in plain if getattr(step, field) != value)
