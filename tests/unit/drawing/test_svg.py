"""SVG is a document of its own that says all by text, and lets nothing in that a name brings along."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree

import pytest

from flowbook.drawing import Edge, Graph, Kind, Node, fold, svg, svg_of_text
from unit.drawing.samples import NASTY, batches, fan, nasty, nested

_TAG = "{http://www.w3.org/2000/svg}"


def _texts(document: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(document).iter(f"{_TAG}text")]


def _tooltips(document: str) -> dict[str, str]:
    groups = ElementTree.fromstring(document).iter(f"{_TAG}g")
    return {group.get("id", ""): group.findtext(f"{_TAG}title", "") for group in groups}


def test_states_are_told_by_sign_and_word_and_explained_below() -> None:
    texts = _texts(svg(nested()))
    assert texts[:2] == ["order · run r1 · FAILURE", "5 atoms"]
    assert "✗ FAILURE · attempt 2" in texts
    assert texts[-5:] == ["✓ SUCCESS 2", "✗ FAILURE 1", "○ PENDING 2", "data", "order only"]


def test_boxes_and_data_are_labelled() -> None:
    texts = _texts(svg(nested()))
    assert "fulfil · graph · retry: Times" in texts
    assert {"order", "receipt", "parcel, bill"} <= set(texts)


def test_a_tooltip_tells_all_of_an_atom() -> None:
    assert _tooltips(svg(nested()))["a2"] == "task pay\nFAILURE\nattempt 2\nshop.py:7"


def test_edges_without_data_are_dashed() -> None:
    lines = re.findall(r'<path class="(line[^"]*)"', svg(Graph("g", _TWO, (Edge("a", "b"),))))
    assert set(lines) == {"line order"}
    assert set(re.findall(r'<path class="(line[^"]*)"', svg(Graph("g", _TWO, (Edge("a", "b", ("x",)),))))) == {"line"}


_TWO = (Node("a", "first"), Node("b", "second"))


@pytest.mark.parametrize("sideways", [False, True])
def test_no_name_becomes_markup(sideways: bool) -> None:
    document = svg(nasty(), sideways=sideways)
    tags = {element.tag.removeprefix(_TAG) for element in ElementTree.fromstring(document).iter()}
    assert tags <= {"svg", "title", "style", "defs", "marker", "path", "rect", "g", "text", "circle", "polygon"}
    assert "<script" not in document


def test_a_tooltip_of_many_lines_is_cut_in_its_middle() -> None:
    details = (*(f"takes x{at} from a{at}" for at in range(100)), "ValueError: no money")
    tooltip = _tooltips(svg(Graph("g", (Node("a", "join", details=details),))))["a"].splitlines()
    assert tooltip[:2] == ["task join", "takes x0 from a0"]
    assert "… 76 more …" in tooltip
    assert tooltip[-1] == "ValueError: no money"
    assert len(tooltip) == 1 + 24 + 2


def test_a_long_name_is_cut_and_whole_in_the_tooltip() -> None:
    name = "copy_" * 20
    document = svg(Graph("g", (Node("a", name),)))
    assert any(text.startswith("copy_copy_") and text.endswith("…") for text in _texts(document))
    assert name in _tooltips(document)["a"]


def test_a_folded_node_tells_its_numbers() -> None:
    texts = _texts(svg(fold(batches(2, 1000), 0)))
    assert "999 SUCCESS 1 FAILURE" in texts


def test_there_are_colours_for_day_and_for_night() -> None:
    document = svg(nested())
    day, night = document.split("@media (prefers-color-scheme:dark)")
    assert ".fb .is-FAILURE{fill:#ffebe9" in day
    assert ".fb .is-FAILURE{fill:#471a1c" in night


def test_an_empty_graph_and_marks_can_be_drawn() -> None:
    assert _texts(svg(Graph("nothing", ()))) == ["nothing", "0 atoms"]
    assert "<circle" in svg(Graph("g", (Node("m", "end", Kind.MARK),)))


def test_a_text_can_be_shown_where_there_is_no_graph() -> None:
    assert _texts(svg_of_text(NASTY, "one <line>\ntwo"))[1:] == ["one <line>", "two"]


@pytest.mark.slow
def test_two_hundred_atoms_take_less_than_a_second() -> None:
    began = time.process_time()
    svg(fan(200))
    assert time.process_time() - began < 1
