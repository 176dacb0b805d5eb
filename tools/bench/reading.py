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
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flowbook import Task, UnorderedFlow, engines
from flowbook.persistence import fetch

COMMAND = (sys.executable, "-m", "flowbook")


class One(Task):
    """Returns a number."""

    def execute(self) -> int:
        """Return 1."""
        return 1


def seconds(words: tuple[str, ...], folder: Path, rounds: int, **variables: str) -> float:
    """Return how many seconds of the processor a command takes, at least."""

    nowhere, env = subprocess.DEVNULL, {**os.environ, **variables}

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run((*COMMAND, *words), cwd=folder, env=env, stdout=nowhere, stderr=nowhere, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(rounds))


def reading(folder: Path, url: str, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield what was read, and how long it took."""
    for words in (("show", "many"), ("show", "many", "--json"), ("show", "many", "a-1"), ("list",)):
        yield " ".join(words), seconds((*words, "--backend", url), folder, rounds)


def completing(folder: Path, url: str, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield what was typed, and how long a shell waited."""
    for line in ("flowbook sh", "flowbook run --on", "flowbook show ma", "flowbook show many a-1"):
        variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "FLOWBOOK_BACKEND": url}
        yield f"{line}<Tab>", seconds((), folder, rounds, _FLOWBOOK_COMPLETE="bash_complete", **variables)


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--atoms", type=int, default=100_000, help="of the run that is shown")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    flow = UnorderedFlow("many").add(*(One(f"a-{number}") for number in range(given.atoms)))
    with tempfile.TemporaryDirectory() as name:
        for url in ("sqlite:///runs.db", "dir:runs"):
            folder = Path(name)
            with fetch(url.replace("runs", f"{folder}/runs", 1)) as backend:
                engines.run(flow, backend=backend, run_id="many")
            for what, took_s in (*reading(folder, url, given.rounds), *completing(folder, url, given.rounds)):
                print(f"{took_s:8.3f} s  {url:<18} {what}", flush=True)


if __name__ == "__main__":
    main()
