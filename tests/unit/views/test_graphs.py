"""Flows and recorded runs as graphs: boxes, states, deciders, and where data comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from acceptance.schemas import check
from flowbook import Flow, GraphFlow, LinearFlow, Task, Times, UnorderedFlow, engines
from flowbook.drawing import Edge, Graph, Kind
from flowbook.exceptions import CompilationFailure, NotFound, NotPossible
from flowbook.flows import Depth
from flowbook.persistence import Backend, fetch
from flowbook.views import Picture, draw, picture_of, picture_of_run
from flowbook.views.graphs import FORMATS, graph_document
from flowbook.views.plans import graph_of_plan
from flowbook.views.schemas import GRAPH


class Step(Task):
    def __init__(self, name: str, *requires: str, gives: str | None = None) -> None:
        super().__init__(name, requires=list(requires), provides=gives)

    def execute(self, **values: object) -> str:
        if self.name == "breaks":
            raise ValueError("no money")
        return self.name

    def revert(self, **values: object) -> None:
        pass


class Asks(Task):
    def execute(self, door: str = "front") -> None:
        pass


def order(third: str = "pay") -> Flow:
    """Return three atoms in a row, the second one in a flow with a retry."""
    inner = LinearFlow("inner", retry=Times(2, "again", provides="attempt")).add(Step("reserve", "cart", gives="room"))
    return LinearFlow("order").add(Step("choose", gives="cart"), inner, Step(third, "room", "cart"))


def named(graph: Graph) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return the edges by the labels of their ends."""
    labels = {node.id: node.label for node in graph.nodes}
    return {(labels[edge.source], labels[edge.target], edge.data) for edge in graph.edges}


def boxed(graph: Graph) -> dict[str, str | None]:
    """Return the label of the box of each node."""
    labels = {box.id: box.label for box in graph.boxes}
    return {node.label: labels[node.box] if node.box else None for node in graph.nodes}


@pytest.fixture(params=["memory:", "memory:?strict=true"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return fetch(request.param)


def run(flow: Flow, backend: Backend, run_id: str = "r1") -> None:
    for _ in engines.load(flow, backend=backend, run_id=run_id).run_iter():
        pass


def test_a_flow_is_drawn_with_its_boxes_and_its_data() -> None:
    graph = picture_of(order()).graph
    assert (graph.name, graph.run, graph.state) == ("order", None, None)
    assert boxed(graph) == {"choose": None, "again": "inner", "reserve": "inner", "pay": None}
    assert [(box.label, box.notes) for box in graph.boxes] == [("inner", ("linear", "retry: Times"))]
    assert [node.kind for node in graph.nodes] == [Kind.TASK, Kind.RETRY, Kind.TASK, Kind.TASK]
    assert named(graph) == {
        ("choose", "again", ()),
        ("again", "reserve", ()),
        ("choose", "reserve", ("cart",)),
        ("choose", "pay", ("cart",)),
        ("reserve", "pay", ("room",)),
    }


def test_a_run_is_drawn_from_the_logbook_as_its_flow_is_and_with_its_states(backend: Backend) -> None:
    run(order("breaks"), backend)
    graph = picture_of_run(backend, "r1").graph
    flow = picture_of(order("breaks")).graph
    assert (graph.run, graph.state) == ("r1", "REVERTED")
    assert (graph.edges, graph.boxes) == (flow.edges, flow.boxes)
    assert [(node.id, node.label, node.kind) for node in graph.nodes] == [
        (node.id, node.label, node.kind) for node in flow.nodes
    ]
    assert graph.counts == {"REVERTED": 4}
    assert "ValueError: no money" in graph.nodes[-1].details


def test_details_tell_where_an_atom_is_and_what_it_takes_and_gives() -> None:
    graph = picture_of(LinearFlow("f").add(Step("a", "city", gives="x"), Step("b", "x"))).graph
    first, second = graph.nodes
    assert first.details[1:] == ("takes city from outside", "gives x")
    assert second.details[1:] == ("takes x from a",)
    assert "test_graphs.py:" in first.details[0]


def test_of_several_providers_the_nearest_one_is_drawn() -> None:
    flow = LinearFlow("f").add(Step("a", gives="x"), Step("b", gives="x"), Step("c"), Step("d", "x"))
    assert ("b", "d", ("x",)) in named(picture_of(flow).graph)
    assert not any(edge[:2] == ("a", "d") for edge in named(picture_of(flow).graph))


def test_a_symbol_that_only_a_sibling_gives_comes_from_outside() -> None:
    graph = picture_of(UnorderedFlow("f").add(Step("a", gives="x"), Step("b", "x"))).graph
    assert graph.edges == ()
    assert "takes x from outside" in graph.nodes[1].details


def test_an_optional_symbol_is_data_too() -> None:
    flow = LinearFlow("f").add(Step("a", gives="door"), Asks("b"))
    assert named(picture_of(flow).graph) == {("a", "b", ("door",))}


def test_a_mark_is_drawn_where_it_saves_many_edges_and_hands_data_on() -> None:
    before = UnorderedFlow("one").add(*(Step(f"a{number}", gives=f"x{number}") for number in range(5)))
    behind = UnorderedFlow("two").add(*(Step(f"b{number}", "x0") for number in range(5)))
    graph = picture_of(LinearFlow("f").add(before, behind)).graph
    (mark,) = [node for node in graph.nodes if node.kind is Kind.MARK]
    assert Edge("a0", mark.id, ("x0",)) in graph.edges
    assert Edge("a1", mark.id) in graph.edges
    assert Edge(mark.id, "a5", ("x0",)) in graph.edges
    assert len(graph.edges) == 10
    assert boxed(graph)["a4"] == "one"
    assert boxed(graph)["b4"] == "two"


def test_a_mark_that_saves_few_edges_is_left_out() -> None:
    before = UnorderedFlow("one").add(Step("a"), Step("b"))
    graph = picture_of(LinearFlow("f").add(before, UnorderedFlow("two").add(Step("c"), Step("d")))).graph
    assert named(graph) == {("a", "c", ()), ("a", "d", ()), ("b", "c", ()), ("b", "d", ())}


def is_high(history: Mapping[str, Any]) -> bool:
    return bool(history)


def test_a_decider_is_drawn_on_its_link_of_a_flow_and_of_a_run(backend: Backend) -> None:
    first, second, third = Step("a", gives="x"), Step("b", "x"), Step("c")
    flow = GraphFlow("f").add(first, second, third)
    flow.link(first, second, decider=is_high, decider_depth=Depth.ATOM).link(first, third)
    run(flow, backend)
    for graph in (picture_of(flow).graph, picture_of_run(backend, "r1").graph):
        (decider,) = [node for node in graph.nodes if node.kind is Kind.DECIDER]
        assert decider.details == ("no skips b, depth ATOM",)
        assert named(graph) == {("a", "is_high", ("x",)), ("is_high", "b", ("x",)), ("a", "c", ())}


def test_a_decider_on_a_link_from_a_flow_stands_behind_its_ends() -> None:
    inner, after = UnorderedFlow("inner").add(Step("a"), Step("b")), Step("c")
    graph = picture_of(GraphFlow("f").add(inner, after).link(inner, after, decider=is_high)).graph
    assert named(graph) == {("a", "is_high", ()), ("b", "is_high", ()), ("is_high", "c", ())}
    assert boxed(graph)["is_high"] is None


def test_an_atom_that_is_in_the_flow_no_more_is_drawn_beside_it(backend: Backend) -> None:
    run(LinearFlow("f").add(Step("a"), Step("old"), Step("breaks")), backend)
    for _ in engines.load(LinearFlow("f").add(Step("a")), backend=backend, run_id="r1", rerun=True).run_iter():
        pass
    graph = picture_of_run(backend, "r1").graph
    assert ("old", ("no longer in the flow",)) in [(node.label, node.notes) for node in graph.nodes]
    assert len({node.id for node in graph.nodes}) == len(graph.nodes)


@pytest.mark.parametrize("field", ["edges", "flows", "deciders"])
@pytest.mark.parametrize("value", [5, [5], [["nobody", "nowhere", "never"]], [[None, None, None, None]]])
def test_a_plan_of_another_shape_is_refused(field: str, value: object) -> None:
    atoms = [{"name": "a", "kind": "task"}, {"name": "b", "kind": "task"}]
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        graph_of_plan({"atoms": atoms, field: value}, "f")


def test_a_plan_as_older_versions_wrote_it_is_drawn() -> None:
    atoms = [{"name": "a", "kind": "retry", "provides": ["x"]}, {"name": "b", "kind": "task", "requires": ["x"]}]
    plan = {"atoms": atoms, "marks": [], "edges": [["a", "b"]], "flows": [["f", "linear", "a", "b"]]}
    graph = graph_of_plan(plan, "f")
    assert named(graph) == {("a", "b", ("x",))}
    assert graph.boxes[0].notes == ("linear", "retry: ?")


@pytest.mark.parametrize("format", FORMATS)
def test_a_flow_and_its_picture_are_drawn_alike_in_every_format(format: str) -> None:
    assert draw(order(), format) == draw(picture_of(order()), format) == picture_of(order()).draw(format)


def test_another_format_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(NotPossible, match="there is no format 'svgg'") as raised:
        draw(order(), "svgg")
    assert raised.value.todo == "did you mean 'svg'? the formats are text, mermaid, dot, svg, json"


def test_a_picture_is_folded_to_a_depth_or_when_it_is_large() -> None:
    flow = LinearFlow("f").add(*(UnorderedFlow(f"b{box}").add(*map(Step, _names(box))) for box in range(6)))
    picture = picture_of(flow)
    assert len(picture.folded(depth=0).graph.nodes) == 6
    assert len(picture.folded().graph.nodes) < 500
    assert picture.folded(folds=False) == picture
    assert picture.draw("text", depth=0).splitlines()[1] == "├─ [b0]: 100 atoms  unordered"


def test_atoms_that_take_from_all_before_them_are_drawn_in_a_notebook() -> None:
    names = [f"t{number}" for number in range(100)]
    flow = LinearFlow("f").add(*(Step(name, *names[:at], gives=name) for at, name in enumerate(names)))
    assert len(picture_of(flow).graph.edges) == 4950
    document = flow._repr_svg_()
    assert "100 atoms · 4851 of 4950 lines, the long ones, are left out" in document
    assert len(document) < 400_000


def _names(box: int) -> list[str]:
    return [f"t{box}_{number}" for number in range(100)]


def test_the_document_of_a_graph_fits_its_schema(backend: Backend) -> None:
    run(order(), backend)
    for picture in (picture_of_run(backend, "r1"), picture_of_run(backend, "r1").folded(depth=0), picture_of(order())):
        document = json.loads(picture.draw("json", folds=False))
        check(document, GRAPH.json_schema())
        assert document == json.loads(json.dumps(graph_document(picture.graph)))


def test_a_notebook_shows_a_flow_and_a_run(backend: Backend) -> None:
    run(order(), backend)
    flow = order()
    assert flow._repr_svg_() == picture_of(flow)._repr_svg_()
    assert "SUCCESS" in picture_of_run(backend, "r1")._repr_svg_()
    assert str(picture_of(flow)) == draw(flow)
    assert isinstance(picture_of(flow), Picture)


def test_a_notebook_shows_what_is_wrong_with_a_flow_that_cannot_be_compiled() -> None:
    flow = UnorderedFlow("f<b>").add(Step("same"), Step("same"))
    with pytest.raises(CompilationFailure):
        picture_of(flow)
    document = ElementTree.fromstring(flow._repr_svg_())
    assert "two atoms are called 'same'" in "".join(document.itertext())


def test_a_run_that_is_not_recorded_is_not_found(backend: Backend) -> None:
    with pytest.raises(NotFound):
        picture_of_run(backend, "nothing")


def test_a_single_task_is_a_flow_of_its_own() -> None:
    assert [node.label for node in picture_of(Step("alone")).graph.nodes] == ["alone"]
