"""Draws the transition tables of ``flowbook.states`` for the documentation: a picture and a table of each.

``python tools/draw_states.py`` writes ``doc/reference/states/``; with ``--check`` it writes nothing, and fails when
those files are not what the tables say now.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

from flowbook.states import (
    ATOM_TRANSITIONS,
    FLOW_TRANSITIONS,
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    AtomState,
    FlowState,
    JobState,
)

FOLDER = Path(__file__).resolve().parents[1] / "doc" / "reference" / "states"

State = TypeVar("State", bound=str)
Event = TypeVar("Event", bound=str)
Transitions = Mapping[tuple[str, str], str]
Point = tuple[float, float]

RESET = "RESET"

_AGAIN = "again: its owner stopped before its end was saved"
_ATOM_WHEN = {
    "START": "its start is committed",
    "RUNNING START": _AGAIN,
    "RETRYING START": "the next round begins",
    "IGNORE": "a decider said no",
    "SUCCEED": "execute returned, and the result was stored",
    "FAIL": "execute raised, or its result could not be stored",
    "WITHDRAW": "committed and never performed: a suspend came first",
    "SUCCESS REVERT": "its scope is reverted",
    "FAILURE REVERT": "its scope is reverted; the failed atom too",
    "REVERTING REVERT": _AGAIN,
    "REVERT_SUCCEED": "revert returned",
    "REVERT_FAIL": "revert raised",
    "RETRY": "its scope is reverted and goes again",
    RESET: "a new round",
}
_FLOW_WHEN = {
    "BEGIN": "an engine enters",
    "RECOVER": "found so by an engine that enters: its owner is gone",
    "RECOVERED": "what is left is known",
    "SUSPEND": "somebody wants it",
    "DRAIN": "nothing is under way any more",
    "FINISH": "all atoms are SUCCESS or IGNORE",
    "FAIL": "a revert failed, or nothing is to be resolved (``never_resolve``)",
    "REVERT": "all that is to be reverted is",
    RESET: "a rerun, or ``Engine.reset()``",
}
_JOB_WHEN = {
    "CLAIM": "a conductor takes it up",
    "ABANDON": "it is given back, or its owner is gone",
    "CONSUME": "what it asked for is done",
}


@dataclass(frozen=True)
class Diagram:
    """A transition table, where its states are drawn (column and row), which are ``at_work``, and what rows mean.

    ``when`` is keyed by event, or by state and event where the event means different things.
    """

    name: str
    transitions: Transitions
    begins: str
    at_work: frozenset[str]
    places: Mapping[str, Point]
    when: Mapping[str, str]

    def loops(self, state: str) -> list[str]:
        """Return what is written into the box of a state: the rows that lead nowhere else, and the new round."""
        again = [f"again: {event}" for (source, event), then in self.transitions.items() if source == state == then]
        return [*again, *(["RESET: PENDING"] if (state, RESET) in self.transitions else [])]

    def arrows(self) -> dict[tuple[str, str], str]:
        """Return the label of each arrow, by the states that it leads from and to."""
        rows = self.transitions.items()
        return {(a, b): event for (a, event), b in rows if a != b and event != RESET}

    def is_end(self, state: str) -> bool:
        """Return whether nothing but a new round leads on."""
        return all(source != state or event == RESET for source, event in self.transitions)

    def meaning(self, state: str, event: str) -> str:
        """Return when an event happens in a state."""
        return self.when[f"{state} {event}" if f"{state} {event}" in self.when else event]


def _plain(table: Mapping[tuple[State, Event], State]) -> Transitions:
    return {(str(state), str(event)): str(then) for (state, event), then in table.items()}


_ATOM_PLACES: Mapping[str, Point] = {
    AtomState.PENDING: (0, 0),
    AtomState.IGNORE: (0, 1),
    AtomState.RUNNING: (1, 0),
    AtomState.FAILURE: (1, 1),
    AtomState.SUCCESS: (2, 1),
    AtomState.REVERTING: (1, 2),
    AtomState.REVERTED: (0, 3),
    AtomState.REVERT_FAILURE: (2, 3),
}
_RETRY_PLACES = {**_ATOM_PLACES, AtomState.RETRYING: (2, 0)}
_FLOW_PLACES: Mapping[str, Point] = {
    FlowState.PENDING: (1, 0),
    FlowState.SUSPENDED: (1, 1),
    FlowState.RESUMING: (1, 2),
    FlowState.RUNNING: (0, 3),
    FlowState.SUSPENDING: (2, 3),
    FlowState.SUCCESS: (1, 4),
    FlowState.FAILURE: (1, 5),
    FlowState.REVERTED: (1, 6),
}
_JOB_PLACES: Mapping[str, Point] = {JobState.UNCLAIMED: (0, 0), JobState.CLAIMED: (1, 0), JobState.COMPLETE: (2, 0)}

_ATOMS_AT_WORK = frozenset({AtomState.RUNNING, AtomState.REVERTING})
_FLOWS_AT_WORK = frozenset({FlowState.RUNNING, FlowState.SUSPENDING, FlowState.RESUMING})
_JOBS_AT_WORK = frozenset({JobState.CLAIMED})

DIAGRAMS = (
    Diagram("task", _plain(TASK_TRANSITIONS), AtomState.PENDING, _ATOMS_AT_WORK, _ATOM_PLACES, _ATOM_WHEN),
    Diagram("retry", _plain(ATOM_TRANSITIONS), AtomState.PENDING, _ATOMS_AT_WORK, _RETRY_PLACES, _ATOM_WHEN),
    Diagram("flow", _plain(FLOW_TRANSITIONS), FlowState.PENDING, _FLOWS_AT_WORK, _FLOW_PLACES, _FLOW_WHEN),
    Diagram("job", _plain(JOB_TRANSITIONS), JobState.UNCLAIMED, _JOBS_AT_WORK, _JOB_PLACES, _JOB_WHEN),
)

COLUMN, ROW = 225, 98
LEFT, TOP = 90, 70
WIDTH, HEIGHT = 130, 54
FONT, LINE = 12, 15
ASIDE = 10
"""How far each of two arrows between the same states lies from the line between their middles."""

_STYLE = (
    "text{font-family:monospace;text-anchor:middle;fill:#111}.state{font-weight:bold}"
    ".box{fill:#fff;stroke:#111;stroke-width:1.5}.work{fill:#eee}.inner{fill:none}"
    ".arrow{stroke:#111;stroke-width:1.2;fill:none;marker-end:url(#head)}.behind{fill:#fff}"
)
_HEAD = (
    '<marker id="head" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0,0 L10,5 L0,10 z"/></marker>'
)
_LEGEND = "dot: begins here / bars: at work / double frame: at its end"


@dataclass(frozen=True)
class Box:
    """A rectangle by its middle and its size."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Return whether two rectangles have a point in common."""
        close_x = abs(self.x - other.x) * 2 < self.width + other.width
        return close_x and abs(self.y - other.y) * 2 < self.height + other.height

    def side(self, right: float, down: float) -> Point:
        """Return the middle of one side, 1 being right or down, -1 left or up, and 0 neither."""
        return self.x + right * self.width / 2, self.y + down * self.height / 2


def state_boxes(diagram: Diagram) -> dict[str, Box]:
    """Return where each state is drawn."""
    return {
        state: Box(LEFT + column * COLUMN, TOP + row * ROW, WIDTH, HEIGHT)
        for state, (column, row) in diagram.places.items()
    }


def label_boxes(diagram: Diagram) -> dict[tuple[str, str], Box]:
    """Return where the event of each arrow is written; characters are 0.6 of the font wide."""
    events = diagram.arrows()
    return {
        pair: Box((x1 + x2) / 2, (y1 + y2) / 2, len(events[pair]) * FONT * 0.6 + 4, FONT + 4)
        for pair, ((x1, y1), (x2, y2)) in arrow_ends(diagram).items()
    }


def arrow_ends(diagram: Diagram) -> dict[tuple[str, str], tuple[Point, Point]]:
    """Return where each arrow begins and ends; two that go opposite ways lie side by side."""
    boxes = state_boxes(diagram)
    pairs = diagram.arrows()
    return {(a, b): _ends(boxes[a], boxes[b], ASIDE if (b, a) in pairs else 0) for a, b in pairs}


def svg(diagram: Diagram) -> str:
    """Return the picture of a table; what it shows is also said in words."""
    columns = 1 + max(column for column, _ in diagram.places.values())
    rows = 1 + max(row for _, row in diagram.places.values())
    width, height = LEFT * 2 + (columns - 1) * COLUMN, TOP * 2 + (rows - 1) * ROW
    words = "; ".join(f"{a} by {event} to {b}" for (a, event), b in diagram.transitions.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}"'
        f' viewBox="0 0 {width:g} {height:g}" font-size="{FONT}" role="img"'
        ' aria-labelledby="title words">',
        f'<title id="title">The states of a {diagram.name}</title>',
        f'<desc id="words">{escape(words)}.</desc>',
        f"<defs><style>{_STYLE}</style>{_HEAD}</defs>",
        f'<rect class="behind" width="{width:g}" height="{height:g}"/>',
        *(_arrow(*ends) for ends in arrow_ends(diagram).values()),
        *(_label(box, diagram.arrows()[pair]) for pair, box in label_boxes(diagram).items()),
        *(_state(diagram, state, box) for state, box in state_boxes(diagram).items()),
        _beginning(state_boxes(diagram)[diagram.begins]),
        f'<text x="{width / 2:g}" y="{height - 12:g}">{_LEGEND}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ends(first: Box, last: Box, aside: float) -> tuple[Point, Point]:
    """Return an arrow between the sides that face each other, as far to its left as ``aside`` says."""
    right = _sign(last.x - first.x)
    down = 0 if right else _sign(last.y - first.y)
    (x1, y1), (x2, y2) = first.side(right, down), last.side(-right, -down)
    return (x1 + down * aside, y1 - right * aside), (x2 + down * aside, y2 - right * aside)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _arrow(start: Point, end: Point) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<path class="arrow" d="M{x1:g},{y1:g} L{x2:g},{y2:g}"/>'


def _label(box: Box, event: str) -> str:
    return _rect("behind", box, 0) + f'<text x="{box.x:g}" y="{box.y + 4:g}">{event}</text>'


def _state(diagram: Diagram, state: str, box: Box) -> str:
    lines = diagram.loops(state)
    top = box.y - len(lines) * LINE / 2 + 4
    texts = [f'<text class="state" x="{box.x:g}" y="{top:g}">{state}</text>']
    texts += [f'<text x="{box.x:g}" y="{top + LINE * (i + 1):g}">{line}</text>' for i, line in enumerate(lines)]
    return _shape(box, at_work=state in diagram.at_work, is_end=diagram.is_end(state)) + "".join(texts)


def _shape(box: Box, *, at_work: bool, is_end: bool) -> str:
    if at_work:
        return _rect("box work", box, 0) + _rect("box inner", Box(box.x, box.y, box.width - 10, box.height), 0)
    inner = _rect("box inner", Box(box.x, box.y, box.width - 8, box.height - 8), 5)
    return _rect("box", box, 8) + (inner if is_end else "")


def _rect(style: str, box: Box, radius: int) -> str:
    (left, _), (_, top) = box.side(-1, 0), box.side(0, -1)
    place = f'x="{left:g}" y="{top:g}" width="{box.width:g}" height="{box.height:g}"'
    return f'<rect class="{style}" {place} rx="{radius}"/>'


def _beginning(box: Box) -> str:
    x, top = box.side(0, -1)
    return f'<circle cx="{x:g}" cy="{top - 26:g}" r="5"/><path class="arrow" d="M{x:g},{top - 26:g} L{x:g},{top:g}"/>'


def rst(diagram: Diagram) -> str:
    """Return the picture and the table as they stand on the page."""
    rows = [
        f"   ``{state}`` | {event} | ``{then}`` | {diagram.meaning(state, event)}"
        for (state, event), then in diagram.transitions.items()
    ]
    return "\n".join(
        [
            f".. image:: states/{diagram.name}.svg",
            f"   :alt: The states of a {diagram.name}, and what leads from one to another: as in the table below.",
            "",
            ".. csv-table::",
            f"   :name: {diagram.name}-transitions",
            "   :delim: |",
            "   :header: state | event | then | when",
            "   :widths: 3 3 3 6",
            "",
            *rows,
            "",
        ]
    )


def drawn() -> dict[Path, str]:
    """Return the files that the documentation includes, and what belongs in them."""
    files = {}
    for diagram in DIAGRAMS:
        files[FOLDER / f"{diagram.name}.svg"] = svg(diagram)
        files[FOLDER / f"{diagram.name}.rst"] = rst(diagram)
    return files


def stale() -> list[Path]:
    """Return the files that are missing or not current."""
    return [path for path, text in drawn().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main() -> int:
    """Write the files, or check them; return 1 when a check finds some that are not current."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the files are not current")
    if parser.parse_args().check:
        for path in stale():
            print(f"{path} is not current: run python tools/draw_states.py", file=sys.stderr)
        return 1 if stale() else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in drawn().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
