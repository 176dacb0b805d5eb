"""Random cases as plain data: a seed gives a flow, what fails in it, how its retries and deciders answer, and when it
is suspended. The data goes to both engines as JSON, and can be made smaller and pasted into a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from differential.recording import Spec, items_of

T = TypeVar("T")

MOST_TASKS = 12
MOST_DEPTH = 4
DEPTHS = ("ALL", "FLOW", "NEIGHBORS", "ATOM")
DECISIONS = ("RETRY", "RETRY", "REVERT", "REVERT_ALL")
RETRIES = ("times", "times", "times", "foreach", "parameterized", "always_revert", "always_revert_all", "script")
STATES = ("RUNNING", "SUCCESS", "FAILURE", "REVERTING", "REVERTED")
VALUES = "vals"
"""The input that parameterized retries take."""


def draw(seed: int) -> Spec:
    """Return the case of this seed."""
    random = Random(seed)
    drawing = _Drawing(random)
    flow = drawing.flow(1 + round(MOST_TASKS ** random.random()), 0)
    drawing.wire(flow)
    atoms = list(items_of(flow))
    drawing.fail(atoms)
    return {
        "seed": seed,
        "flow": flow,
        "store": {"i0": "in", VALUES: random.sample(["p", "p", "q", "r"], random.randint(0, 4))},
        "options": {"defer_reverts": random.random() < 0.2, "never_resolve": random.random() < 0.02},
        "suspends": drawing.suspends(atoms) if atoms and random.random() < 0.4 else [],
        "reload": random.random() < 0.5,
    }


def _has_graphs(flow: Spec) -> bool:
    within = (child for child in flow["children"] if child["kind"] == "flow")
    return flow["pattern"] == "graph" or any(_has_graphs(child) for child in within)


def outline(spec: Spec) -> str:
    """Return a case in one line, without what says nothing."""
    options = {name: value for name, value in spec["options"].items() if value}
    suspends = (
        f" suspended at {spec['suspends']}{' and reloaded' if spec['reload'] else ''}" if spec["suspends"] else ""
    )
    return f"{_outline(spec['flow'])}{suspends}{f' with {options}' if options else ''}"


def _outline(part: Spec) -> str:
    if part["kind"] == "flow":
        inner = [_outline(child) for child in part["children"]]
        inner += [f"retry={_outline(part['retry'])}"] if part["retry"] else []
        return f"{part['pattern']} {part['name']}({', '.join([*inner, *map(_arrow, part['links'])])})"
    told = [f"{key}={value}" for key, value in part.items() if value and key not in (*_UNTOLD, *_untold_of(part))]
    return " ".join([part["name"], *([part["type"]] if part["kind"] == "retry" else []), *told])


def _arrow(link: Spec) -> str:
    decider = f" {link['votes']} {link['depth'] or ''}".rstrip() if link["votes"] else ""
    return f"{link['from']}->{link['to']}{decider}"


def _untold_of(part: Spec) -> set[str]:
    """Return which keys of a retry mean nothing to its type."""
    meant = {"times": "attempts", "foreach": "values", "parameterized": "symbol", "script": "script"}
    return set(meant.values()) - {meant.get(part.get("type", ""))}


_UNTOLD = ("kind", "name", "type")


class _Drawing:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._likely_to_nest = random.choice((0.3, 0.6, 0.8))
        self._likely_to_retry = random.choice((0.0, 0.5, 0.7, 0.9))
        self._likely_to_decide = random.choice((0.0, 0.3, 0.6, 0.9))
        self._flows = self._tasks = 0

    def flow(self, tasks: int, depth: int) -> Spec:
        """Return a flow of that many tasks."""
        random = self._random
        name = f"f{self._flows}"
        self._flows += 1
        pattern = random.choice(("linear", "linear", "unordered", "graph", "graph", "graph"))
        retry = self._retry(f"{name}_r") if random.random() < self._likely_to_retry else None
        children: list[Spec] = []
        while tasks > 0:
            size = random.randint(1, tasks)
            if depth < MOST_DEPTH and random.random() < self._likely_to_nest:
                children.append(self.flow(size, depth + 1))
            else:
                children += [self._task() for _ in range(size)]
            tasks -= size
        if depth < MOST_DEPTH and not self._likely_to_decide and random.random() < 0.1:
            children.insert(random.randint(0, len(children)), self.flow(0, depth + 1))
        links = self._links(children) if pattern == "graph" else []
        return {"kind": "flow", "name": name, "pattern": pattern, "retry": retry, "children": children, "links": links}

    def wire(self, flow: Spec) -> None:
        """Let tasks give symbols of their own, and take symbols that others before them give."""
        likely = self._random.choice((0.0, 0.2, 0.5))
        shares = self._random.random() < 0.5 and not _has_graphs(flow)  # where two give a symbol, a graph is ambiguous
        for place, atom in enumerate(items_of(flow)):
            if atom["kind"] == "retry":
                if self._random.random() < likely:
                    atom["provides"] = f"n{place}"
            elif self._random.random() < likely:
                count = self._random.choice((1, 1, 1, 2))
                shared = shares and self._random.random() < 0.5
                atom["provides"] = ["x0" if shared else f"s{place}", f"t{place}"][:count]
        self._take(flow, ["i0"], likely)

    def _take(self, flow: Spec, visible: Sequence[str], likely: float) -> list[str]:
        """Let the tasks of a flow take what is visible to them; return what the flow gives."""
        mine = [flow["retry"]["provides"]] if flow["retry"] and flow["retry"]["provides"] else []
        before: list[str] = []
        for child in flow["children"]:
            seen = [*visible, *mine, *([] if flow["pattern"] == "unordered" else before)]
            if child["kind"] == "flow":
                before += self._take(child, seen, likely)
                continue
            child["requires"] = sorted({name for name in seen if self._random.random() < likely / 2})
            child["revert_requires"] = sorted({name for name in seen if self._random.random() < likely / 8})
            child["lenient"] = self._random.random() < likely / 3
            before += child["provides"]
        return [*mine, *before]

    def fail(self, atoms: Sequence[Spec]) -> None:
        """Let some calls fail, by how many times they were made before."""
        random = self._random
        likely = random.choice((0.1, 0.2, 0.3, 0.5))
        reverts = random.choice((0.0, 0.0, 0.1, 0.4))
        for atom in atoms:
            rare = 1.0 if atom["kind"] == "task" else 0.2
            atom["execute_fails"] = [turn for turn in range(4) if random.random() < likely * rare]
            atom["revert_fails"] = [turn for turn in range(3) if random.random() < reverts * rare]
            if atom["kind"] == "retry":
                atom["on_failure_fails"] = [turn for turn in range(2) if random.random() < 0.01]

    def suspends(self, atoms: Sequence[Spec]) -> list[list[Any]]:
        """Return at which notices to suspend: atom, state, and how many such notices came before."""
        random = self._random
        found = []
        for _ in range(random.choice((1, 1, 2, 3))):
            state = random.choice((*STATES, "RUNNING", "SUCCESS", "SUCCESS"))
            found.append([random.choice(atoms)["name"], state, random.choice((0, 0, 0, 1))])
        return found

    def _task(self) -> Spec:
        self._tasks += 1
        return {
            "kind": "task",
            "name": f"t{self._tasks}",
            "provides": [],
            "requires": [],
            "revert_requires": [],
            "lenient": False,
            "priority": self._random.choice((0,) * 15 + (1, 2, -1)),
        }

    def _retry(self, name: str) -> Spec:
        random = self._random
        return {
            "kind": "retry",
            "name": name,
            "type": random.choice(RETRIES),
            "attempts": random.choice((1, 2, 2, 3)),
            "values": random.sample(["a", "a", "b", "c"], random.choice((0, 1, 2, 2, 3))),
            "symbol": VALUES,
            "script": [random.choice(DECISIONS) for _ in range(random.randint(0, 3))],
            "revert_all": random.random() < 0.2,
            "provides": None,
        }

    def _links(self, children: Sequence[Spec]) -> list[Spec]:
        random = self._random
        likely = random.choice((0.3, 0.5, 0.8))
        pairs = [(one["name"], other["name"]) for at, other in enumerate(children) for one in children[:at]]
        random.shuffle(pairs)
        return [self._link(*pair) for pair in pairs if random.random() < likely]

    def _link(self, source: str, target: str) -> Spec:
        random = self._random
        votes = [random.random() < 0.5 for _ in range(random.randint(1, 3))]
        decides = random.random() < self._likely_to_decide
        return {
            "from": source,
            "to": target,
            "votes": votes if decides else [],
            "depth": random.choice((None, *DEPTHS)) if decides else None,
        }
