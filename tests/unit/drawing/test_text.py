"""A graph as text: a line an atom, with its state in sign and word, and what it waits for."""

from __future__ import annotations

import pytest

from flowbook.drawing import Edge, Graph, Kind, Node, fold, text
from flowbook.drawing.labels import cells, one_line, shortened
from unit.drawing.samples import batches, fan, nasty, nested


def test_boxes_are_a_tree_and_every_atom_tells_its_state_and_what_it_comes_after() -> None:
    assert text(nested()).splitlines() == [
        "order · run r1 · FAILURE (5 atoms)",
        "├─ ✓ SUCCESS  take",
        "├─ [fulfil] · graph · retry: Times",
        "│  ├─ ✓ SUCCESS  again (retry)  ← take",
        "│  ├─ [payment] · linear",
        "│  │  └─ ✗ FAILURE  pay  attempt 2  ← take: order, again",
        "│  ├─            <is_paid?>  ← pay: receipt",
        "│  └─ ○ PENDING  ship  ← is_paid: receipt",
        "└─ ○ PENDING  tell  ← ship: parcel, bill",
    ]


def test_without_unicode_the_same_is_said_in_ascii() -> None:
    plain = text(nested(), plain=True)
    assert plain.isascii()
    assert "|  |  `- x FAILURE  pay  attempt 2  <- take: order, again" in plain.splitlines()


def test_lines_are_cut_to_the_width_of_the_terminal() -> None:
    lines = text(nested(), width=40).splitlines()
    assert max(map(cells, lines)) <= 40
    assert "│  │  └─ ✗ FAILURE  pay  attempt 2  ← t…" in lines


def test_no_terminal_is_so_narrow_that_names_are_lost() -> None:
    assert "✗ FAILURE  pay" in text(nested(), width=1)


def test_many_that_lead_to_one_atom_are_counted() -> None:
    lines = text(fan(200)).splitlines()
    assert len(lines) == 203
    assert lines[-1] == "└─            join  ← part-1, part-2, part-3, +197 more"


def test_what_stands_before_a_mark_is_named_behind_it() -> None:
    nodes = (Node("a0", "one"), Node("a1", "two"), Node("m0", "end of f", Kind.MARK), Node("a2", "last"))
    edges = (Edge("a0", "m0"), Edge("a1", "m0", ("x",)), Edge("m0", "a2"))
    assert text(Graph("f", nodes, edges)).splitlines()[-1] == "└─ last  ← one, two: x"


def test_a_folded_box_tells_its_numbers() -> None:
    lines = text(fold(batches(2, 40), 0)).splitlines()
    assert lines[1] == "├─ ✗ FAILURE  [batch 0]: 39 SUCCESS 1 FAILURE"


def test_states_are_painted_when_there_is_a_painter() -> None:
    painted = text(nested(), paint=lambda state, said: f"<{state}>{said}</>")
    assert "├─ <SUCCESS>✓ SUCCESS</>  take" in painted.splitlines()


def test_no_name_breaks_a_line_or_moves_the_cursor() -> None:
    drawn = text(nasty())
    assert len(drawn.splitlines()) == 5
    assert all(line.isprintable() for line in drawn.splitlines())


@pytest.mark.parametrize(
    ("said", "shown"), [("a\nb", "a\\nb"), ("\x00", "\\x00"), ("\u202e", "\\u202e"), ("漢 é", "漢 é")]
)
def test_what_cannot_be_printed_is_written_as_in_python(said: str, shown: str) -> None:
    assert one_line(said) == shown


def test_a_text_is_cut_by_columns_not_by_characters() -> None:
    assert shortened("漢字の名前", 10) == "漢字の名前"
    assert shortened("漢字の名前", 9) == "漢字の名…"
    assert shortened("abcdef", 5, "...") == "ab..."
