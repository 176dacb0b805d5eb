"""What it costs to read: a run with many atoms shown, runs listed, words of the command line completed.

Seconds are those of the processor, of whole processes, the least of several: other work on the machine adds to them.
``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import page
from page import Goal, NotMeasured, goal

from flowbook import Task, UnorderedFlow, engines
from flowbook.persistence import fetch

COMMAND = (sys.executable, "-m", "flowbook")
URLS = {"SQLite": "sqlite:///runs.db", "directory": "dir:runs"}

SECONDS = 1.0
LINES_MAX = 200


class One(Task):
    """Returns a number."""

    def execute(self) -> int:
        """Return 1."""
        return 1


@dataclass(frozen=True, slots=True)
class Read:
    """What a command took and printed; ``seconds`` are the least of its rounds."""

    where: str
    what: str
    seconds: float
    lines: int


def read(where: str, what: str, words: Sequence[str], folder: Path, rounds: int, **variables: str) -> Read:
    """Run a command so many times, and return what it took and printed."""
    env = {**os.environ, **variables}

    def once() -> tuple[float, int]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run((*COMMAND, *words), cwd=folder, env=env, capture_output=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said.count(b"\n")

    took = [once() for _ in range(rounds)]
    return Read(where, what, min(seconds for seconds, _ in took), max(lines for _, lines in took))


def reading(where: str, folder: Path, rounds: int) -> Iterator[Read]:
    """Yield what was read."""
    for words in (("show", "many"), ("show", "many", "--json"), ("show", "many", "a-1"), ("list",)):
        yield read(where, " ".join(words), (*words, "--backend", URLS[where]), folder, rounds)


def completing(where: str, folder: Path, rounds: int) -> Iterator[Read]:
    """Yield what was typed, and how long a shell waited."""
    for line in ("flowbook sh", "flowbook run --on", "flowbook show ma", "flowbook show many a-1"):
        variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "FLOWBOOK_BACKEND": URLS[where]}
        yield read(where, f"{line}<Tab>", (), folder, rounds, _FLOWBOOK_COMPLETE="bash_complete", **variables)


def judged(found: Iterable[Read], atoms: int) -> list[Goal]:
    """Return the goals with what was measured."""
    by_name = {(one.where, one.what): one for one in found}
    return [
        _short_and_quick(by_name.get((where, what)), f"{where}: {what.split()[0]}, {atoms:,} atoms")
        for where in URLS
        for what in ("show many", "list")
    ]


def _short_and_quick(found: Read | None, says: str) -> Goal:
    def value() -> tuple[str, bool]:
        if found is None:
            raise NotMeasured("left out")
        return f"{found.seconds:.2f} s, {found.lines} lines", found.seconds <= SECONDS and found.lines <= LINES_MAX

    return goal(says, f"at most {SECONDS:g} s of the processor and {LINES_MAX} lines", value)


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--atoms", type=int, default=100_000, help="of the run that is shown")
    parser.add_argument("--rounds", type=int, default=3)
    page.add_write(parser, "reading")
    given = parser.parse_args()
    flow = UnorderedFlow("many").add(*(One(f"a-{number}") for number in range(given.atoms)))
    found: list[Read] = []
    with page.folder() as name:
        folder = Path(name)
        for where, url in URLS.items():
            with fetch(url.replace("runs", f"{folder}/runs", 1)) as backend:
                engines.run(flow, backend=backend, run_id="many")
            for one in (*reading(where, folder, given.rounds), *completing(where, folder, given.rounds)):
                print(f"{one.seconds:8.3f} s {one.lines:8,} lines  {where:<10} {one.what}", flush=True)
                found.append(one)
    if given.write:
        page.write_goals("reading", judged(found, given.atoms))


if __name__ == "__main__":
    main()
