"""Makes a case that fails as small as it can: drops atoms, flows, retries, links, failures and suspends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from differential.recording import Spec

MOST_TRIES = 400
PLAIN: dict[str, Any] = {
    "retry": None,
    "links": [],
    "votes": [],
    "depth": None,
    "provides": None,
    "requires": [],
    "revert_requires": [],
    "lenient": False,
    "priority": 0,
    "execute_fails": [],
    "revert_fails": [],
    "on_failure_fails": [],
    "suspends": [],
    "reload": False,
    "revert_all": False,
    "script": [],
    "pattern": "linear",
    "defer_reverts": False,
    "never_resolve": False,
}
"""What each part of a spec is when it says nothing."""


def shrink(spec: Spec, fails: Callable[[Spec], bool]) -> Spec:
    """Return the smallest case found that ``fails`` like this one: the first smaller one, until none fails."""
    for _ in range(MOST_TRIES):
        smaller = next((one for one in smaller_specs(spec) if fails(one)), None)
        if smaller is None:
            break
        spec = smaller
    return spec


def smaller_specs(spec: Spec) -> Iterator[Spec]:
    """Yield the case with one thing less, the largest things first."""
    for child in spec["flow"]["children"]:
        if child["kind"] == "flow":
            yield {**spec, "flow": child}
    yield from ({**spec, "flow": flow} for flow in _fewer(spec["flow"]))
    yield from _plainer(spec)


def _fewer(flow: Spec) -> Iterator[Spec]:
    """Yield the flow with a child less, or with a flow's children in its place, at any depth."""
    children = flow["children"]
    for at, child in enumerate(children):
        before, behind = children[:at], children[at + 1 :]
        links = [link for link in flow["links"] if child["name"] not in (link["from"], link["to"])]
        if before or behind:  # flows without atoms differ in ways of their own
            yield {**flow, "children": [*before, *behind], "links": links}
        if child["kind"] == "flow":
            if child["children"]:
                yield {**flow, "children": [*before, *child["children"], *behind], "links": links}
            yield from ({**flow, "children": [*before, one, *behind]} for one in _fewer(child))


def _plainer(part: Any) -> Iterator[Any]:
    """Yield plain data with one part replaced by what says nothing, or by less of it."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in PLAIN and value and value != PLAIN[key]:
                yield {**part, key: [] if key == "provides" and isinstance(value, list) else PLAIN[key]}
            yield from ({**part, key: smaller} for smaller in _plainer(value))
    elif isinstance(part, list):
        for at, one in enumerate(part):
            if not isinstance(one, dict) or "from" in one:
                yield [*part[:at], *part[at + 1 :]]
            yield from ([*part[:at], smaller, *part[at + 1 :]] for smaller in _plainer(one))
