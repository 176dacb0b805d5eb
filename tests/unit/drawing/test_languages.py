"""Mermaid and Graphviz: the grammar is kept whatever atoms are called, and ids are the same everywhere."""

from __future__ import annotations

import re

import pytest

from flowbook.drawing import Graph, dot, fold, mermaid, svg
from unit.drawing.samples import batches, fan, nasty, nested

_IDS = r"[A-Za-z]\w*"
_MERMAID_TEXT = r'"(?:[\w _,.-]|[^\x00-\x7f]|#\d+;|<br/>|: )*"'
_MERMAID = re.compile(
    r'---|title: "(?:[^"\\%<>&]|\\["\\/bfnrtu])*"|flowchart TD| *end'
    rf"| +subgraph {_IDS}\[{_MERMAID_TEXT}\]"
    rf"| +{_IDS}(?:\[|\[\[|\(\[|\(\(|\{{){_MERMAID_TEXT}(?:\]|\]\]|\]\)|\)\)|\}})(?::::\w+)?"
    rf"| +{_IDS} (?:-->\|{_MERMAID_TEXT}\||-\.->) {_IDS}"
    r"| +classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6},stroke-width:[\d.]+px(?:,stroke-dasharray:[\d ]+)?"
)
_DOT_TEXT = r'"(?:[^"\\\n]|\\["\\n])*"'
_DOT_ATTRIBUTES = rf"\[\w+={_DOT_TEXT}(?:, \w+={_DOT_TEXT})*\];"
_DOT = re.compile(
    rf"digraph {_DOT_TEXT} \{{| *\}}| +subgraph \"cluster_{_IDS}\" \{{| +label={_DOT_TEXT};"
    rf"| +{_IDS} {_DOT_ATTRIBUTES}| +{_IDS} -> {_IDS} {_DOT_ATTRIBUTES}"
)

GRAPHS = [nested(), nasty(), fan(12), batches(3, 3), fold(batches(3, 3), 0)]


@pytest.mark.parametrize("graph", GRAPHS, ids=range(len(GRAPHS)))
def test_every_line_of_mermaid_is_of_its_grammar(graph: Graph) -> None:
    lines = mermaid(graph).splitlines()
    assert [line for line in lines if not _MERMAID.fullmatch(line)] == []
    assert sum(" subgraph " in line for line in lines) == sum(line.strip() == "end" for line in lines)


@pytest.mark.parametrize("graph", GRAPHS, ids=range(len(GRAPHS)))
def test_every_line_of_graphviz_is_of_its_grammar(graph: Graph) -> None:
    text = dot(graph)
    assert [line for line in text.splitlines() if not _DOT.fullmatch(line)] == []
    unquoted = re.sub(_DOT_TEXT, "", text)
    assert unquoted.count("{") == unquoted.count("}")


def test_mermaid_shows_boxes_states_data_and_order() -> None:
    lines = mermaid(nested()).splitlines()
    assert '  subgraph f1["fulfil #183; graph #183; retry#58; Times"]' in lines
    assert '      a2["pay<br/>#10007; FAILURE #183; attempt 2"]:::FAILURE' in lines
    assert '    d0{"is_paid"}' in lines
    assert '  a0 -->|"order"| a2' in lines
    assert "  a0 -.-> a1" in lines
    assert any(line.startswith("  classDef FAILURE fill:#ffebe9") for line in lines)


def test_graphviz_shows_boxes_states_data_and_order() -> None:
    lines = dot(nested()).splitlines()
    assert '  subgraph "cluster_f1" {' in lines
    assert any(line.strip().startswith('a2 [label="pay\\n✗ FAILURE · attempt 2", shape="box"') for line in lines)
    assert any(line.strip().startswith("d0 [") and 'shape="diamond"' in line for line in lines)
    assert '  a0 -> a2 [label="order"];' in lines
    assert '  a0 -> a1 [style="dashed"];' in lines


def test_nodes_and_boxes_have_the_same_ids_in_every_language() -> None:
    graph = nested()
    ids = {node.id for node in graph.nodes} | {box.id for box in graph.boxes}
    assert set(re.findall(r'<g id="(\w+)"', svg(graph))) == ids
    assert {
        found.removeprefix("subgraph ")
        for found in re.findall(rf"^ +((?:subgraph )?{_IDS})[\[({{]", mermaid(graph), re.M)
    } == ids
    assert (
        set(re.findall(rf'^ +(?:subgraph "cluster_)?({_IDS})(?: \[|" \{{)', dot(graph), re.M))
        - {"graph", "node", "edge"}
        == ids
    )
