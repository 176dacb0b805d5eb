"""Sides as processes, and comparisons measured with them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from comparisons import Comparison, Entry
from places import Places
from serving import Figures

_HERE = Path(__file__).resolve().parent
_ROUND_TAKES_AT_MOST_S = 180.0
_WARM_UP = 10  # times fewer atoms
_FORGET = ("flowbook", "bare")


class Failed(Exception):
    """A side could not measure what it was asked for."""


class Side:
    """A process in the environment of a side."""

    def __init__(self, name: str, python: Path) -> None:
        self._said = tempfile.TemporaryFile(  # noqa: SIM115 - it is open as long as the process
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(_HERE / f"with_{name}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ask(self, case: str, atoms: int, place: str) -> Figures:
        """Return the figures of one round. Raises Failed, also when it takes minutes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(_ROUND_TAKES_AT_MOST_S, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps({"case": case, "atoms": atoms, "place": place}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise Failed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        return (self._said.read().strip().splitlines() or ["it ended without a word"])[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        watch = threading.Timer(_ROUND_TAKES_AT_MOST_S, self._process.kill)
        watch.start()
        self._process.wait()
        watch.cancel()
        self._process.stdout.close()
        self._said.close()


@dataclass
class Measured:
    """The rounds of one side of a comparison; none, and why, when it could not be measured."""

    label: str
    atoms: int
    rounds: list[Figures] = field(default_factory=list)
    why_not: str = ""

    def each(self, figure: str) -> list[float]:
        """Return a figure of every round, an atom's share of it in microseconds where it is a time."""
        scale = 1e6 if figure in ("seconds", "cpu_s") else 1.0
        return [found[figure] / self.atoms * scale for found in self.rounds if figure in found]

    def median(self, figure: str = "seconds") -> float:
        """Return the median of `each`."""
        return median(self.each(figure))


class Turns:
    """One side of a comparison at work: it warms up, and then takes its turn in every round."""

    def __init__(self, entry: Entry, atoms: int, side: Side | None, places: Places, rounds: int) -> None:
        self.measured = Measured(entry.label, entry.atoms or atoms)
        self._entry, self._side, self._places = entry, side, places
        self._left = entry.rounds or rounds
        self._kept = ""
        if side is None:
            self.measured.why_not = "its environment could not be made"
        elif entry.side == "bare" and entry.storage:
            self._try("record", self.measured.atoms)
        else:
            self._try(entry.case, max(1, self.measured.atoms // _WARM_UP))

    def take(self) -> None:
        """Measure once more, unless that has failed before, or was done often enough."""
        if self._left:
            self._left -= 1
            figures = self._try(self._entry.case, self.measured.atoms)
            self.measured.rounds += [figures] if figures else []

    def _try(self, case: str, atoms: int) -> Figures | None:
        if self._side is None or self.measured.why_not:
            return None
        try:
            return self._side.ask(case, atoms, self._place())
        except (Failed, FileNotFoundError) as error:  # of a server that is not installed, too
            self.measured.why_not = str(error)
            return None

    def _place(self) -> str:
        """Return where records go: ours are forgotten before each round, those of others go to a new place."""
        entry = self._entry
        if entry.storage and not (self._kept and entry.side in _FORGET):
            self._kept = self._places.new(entry.storage)
        return self._kept


def measure(comparison: Comparison, pythons: Mapping[str, Path], places: Places, rounds: int) -> list[Measured]:
    """Return what each side of a comparison took; sides take turns.

    A side without an interpreter, or one that fails, is left out from then on, and says why.
    """
    rounds = min(rounds, comparison.rounds or rounds)
    with ExitStack() as running:
        names = {entry.side for entry in comparison.entries if entry.side in pythons}
        sides = {name: running.enter_context(Side(name, pythons[name])) for name in sorted(names)}
        turns = [Turns(entry, comparison.atoms, sides.get(entry.side), places, rounds) for entry in comparison.entries]
        for _ in range(rounds):
            for turn in turns:
                turn.take()
    return [turn.measured for turn in turns]
