"""The pictures and tables of states are drawn from the tables of the code, current, and legible."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

import draw_states
from doc.pages import table, text_of
from draw_states import DIAGRAMS, FONT, Box, Diagram
from flowbook.states import (
    ATOM_TRANSITIONS,
    FINISHED,
    FLOW_TRANSITIONS,
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    AtomState,
)

TABLES = {"task": TASK_TRANSITIONS, "retry": ATOM_TRANSITIONS, "flow": FLOW_TRANSITIONS, "job": JOB_TRANSITIONS}

_each = pytest.mark.parametrize("diagram", DIAGRAMS, ids=lambda diagram: diagram.name)


def test_what_is_drawn_is_current() -> None:
    assert draw_states.stale() == [], "run python tools/draw_states.py"


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_transitions_are_those_of_the_code(name: str) -> None:
    rows = [row[:3] for row in table(text_of(f"doc/reference/states/{name}.rst"), f"{name}-transitions")]
    assert rows == [(state, event, then) for (state, event), then in TABLES[name].items()]


@pytest.mark.parametrize("name", TABLES)
def test_the_page_of_states_includes_every_table(name: str) -> None:
    assert f".. include:: states/{name}.rst" in text_of("doc/reference/states.rst").splitlines()


def test_a_task_has_all_rows_but_those_of_retrying() -> None:
    assert {state for state, _ in TASK_TRANSITIONS} == set(AtomState) - {AtomState.RETRYING}
    assert {row for row in ATOM_TRANSITIONS if row not in TASK_TRANSITIONS} == {
        ("SUCCESS", "RETRY"),
        ("RETRYING", "START"),
        ("RETRYING", "RESET"),
    }


def test_a_check_fails_and_names_the_file_when_one_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(draw_states, "FOLDER", tmp_path / "states")
    monkeypatch.setattr(sys, "argv", ["draw_states.py"])
    assert draw_states.main() == 0
    monkeypatch.setattr(sys, "argv", ["draw_states.py", "--check"])
    assert draw_states.main() == 0
    (tmp_path / "states" / "job.rst").write_text("older", encoding="utf-8")
    assert draw_states.main() == 1
    assert "job.rst is not current" in capsys.readouterr().err


@_each
def test_a_picture_says_every_row_of_its_table_in_text(diagram: Diagram) -> None:
    picture = ElementTree.fromstring(draw_states.svg(diagram))
    said = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    words = next(picture.iter("{http://www.w3.org/2000/svg}desc")).text or ""
    for (state, event), then in diagram.transitions.items():
        assert f"{state} by {event} to {then}" in words
        assert {state, then} <= set(said)
        assert {event, f"again: {event}", f"{event}: {then}"} & set(said)


@_each
def test_nothing_in_a_picture_covers_anything_else(diagram: Diagram) -> None:
    boxes = [*draw_states.state_boxes(diagram).values(), *draw_states.label_boxes(diagram).values()]
    assert [(one, other) for one, other in combinations(boxes, 2) if one.overlaps(other)] == []


@_each
def test_what_is_written_in_a_box_fits_it(diagram: Diagram) -> None:
    for state, box in draw_states.state_boxes(diagram).items():
        lines = [state, *diagram.loops(state)]
        assert max(map(len, lines)) * FONT * 0.6 < box.width - 12
        assert len(lines) * draw_states.LINE < box.height


@_each
def test_no_arrow_passes_through_a_state_that_it_does_not_touch(diagram: Diagram) -> None:
    boxes = draw_states.state_boxes(diagram)
    for (source, target), ((x1, y1), (x2, y2)) in draw_states.arrow_ends(diagram).items():
        points = [Box(x1 + (x2 - x1) * i / 50, y1 + (y2 - y1) * i / 50, 0, 0) for i in range(51)]
        passed = [name for name, box in boxes.items() if any(box.overlaps(point) for point in points)]
        assert set(passed) <= {source, target}


def test_states_that_a_run_ends_in_are_framed_as_ends() -> None:
    (flow,) = (diagram for diagram in DIAGRAMS if diagram.name == "flow")
    assert {state for state in flow.places if flow.is_end(state)} == set(FINISHED)
