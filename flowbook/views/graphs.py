"""Pictures of flows and runs; a run is drawn from the plan in the logbook, with its states, and without its code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from flowbook.atoms.base import Atom
from flowbook.drawing import Graph, dot, fold, fold_to, mermaid, svg, svg_of_text, text
from flowbook.exceptions import Damaged, FlowbookError, NotPossible, did_you_mean
from flowbook.flows.base import Flow
from flowbook.flows.compilation import compile_flow
from flowbook.flows.plan import plan_record
from flowbook.persistence.backend import Backend
from flowbook.views.details import KINDS, atom_of, read_run
from flowbook.views.plans import graph_of_plan
from flowbook.views.schemas import GRAPH

FORMATS: Final = ("text", "mermaid", "dot", "svg", "json")


@dataclass(frozen=True)
class Picture:
    """A flow or a run that can be drawn: as text when it is printed, as SVG in a notebook."""

    graph: Graph

    def draw(self, format: str = "text", *, depth: int | None = None, folds: bool = True) -> str:
        """Return the picture in one of `FORMATS`. Raises NotPossible for another.

        ``depth`` is how many flows deep it goes; those below are drawn as one node each. Without it, more than 500
        nodes are folded until there are no more than that, unless ``folds`` is False. SVG leaves out the longest of
        very many lines, and says so.
        """
        checked_format(format)
        shown = self.folded(depth=depth, folds=folds).graph
        match format:
            case "mermaid":
                return mermaid(shown)
            case "dot":
                return dot(shown)
            case "svg":
                return svg(shown)
            case "json":
                return json.dumps(graph_document(shown), indent=2, ensure_ascii=False) + "\n"
            case _:
                return text(shown)

    def folded(self, *, depth: int | None = None, folds: bool = True) -> Picture:
        """Return the picture with what `draw` draws as one node being one."""
        if depth is not None:
            return Picture(fold(self.graph, depth))
        return Picture(fold_to(self.graph)) if folds else self

    def __str__(self) -> str:
        return self.draw()

    def _repr_svg_(self) -> str:
        return self.draw("svg")


def checked_format(name: str, *, where: str = "") -> str:
    """Return the name of a format. Raises NotPossible for another word than `FORMATS` has."""
    if name not in FORMATS:
        near = did_you_mean(name, FORMATS)
        known = f"the formats are {', '.join(FORMATS)}"
        raise NotPossible(f"there is no format {name!r}", where=where, todo=f"{near} {known}" if near else known)
    return name


def picture_of(flow: Flow | Atom) -> Picture:
    """Return the picture of a flow that was not run. Raises CompilationFailure when it cannot be."""
    plan = compile_flow(flow).plan
    return Picture(graph_of_plan(plan_record(plan), flow.name))


def picture_of_run(backend: Backend, run_id: str) -> Picture:
    """Return the picture of a run with its states. Raises NotFound, Damaged and NewerSchema."""
    recorded = read_run(backend, run_id, KINDS)
    row, plans = recorded.row, recorded.plans()
    atoms = {name: atom_of(recorded.records, name, plans.get(name, {})) for name in recorded.names()}
    try:
        return Picture(graph_of_plan(recorded.plan, row["name"], atoms, run=row["id"], state=row["state"]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # it is JSON of any shape
        raise Damaged(backend.url, f"plan 'plan' of run {row['id']!r} cannot be drawn: {error!r}") from error


def draw(what: Flow | Atom | Picture, format: str = "text", *, depth: int | None = None, folds: bool = True) -> str:
    """Return a flow or a picture in one of `FORMATS`; `Picture.draw` tells more."""
    picture = what if isinstance(what, Picture) else picture_of(what)
    return picture.draw(format, depth=depth, folds=folds)


def svg_of(flow: Flow) -> str:
    """Return the picture that a notebook shows of a flow; of one that cannot be compiled, what is wrong with it."""
    try:
        return picture_of(flow).draw("svg")
    except FlowbookError as error:
        return svg_of_text(flow.name, str(error))


def graph_document(graph: Graph) -> dict[str, Any]:
    """Return the document of a graph: its nodes, edges and boxes by their ids."""
    nodes = [
        {**asdict(node), "kind": str(node.kind), "atoms": node.atoms, "counts": dict(node.counts)}
        for node in graph.nodes
    ]
    return GRAPH.document(
        nodes,
        flow=graph.name,
        run=graph.run,
        state=graph.state,
        counts=graph.counts,
        folded_below=graph.folded_below,
        edges=[asdict(edge) for edge in graph.edges],
        boxes=[asdict(box) for box in graph.boxes],
    )
