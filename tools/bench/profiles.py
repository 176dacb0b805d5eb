"""The hottest lines of each workload: where the thread of the engine's loop spends its processor time.

The system's profiling timer interrupts the process every few milliseconds of processor time; what is counted is the
innermost line of flowbook then, with all that it calls in other packages, in C and in the system. Waiting for a disk
takes no processor time and is not seen. Loading, declaring and making storages ready are left out. ``--help`` tells
the options.
"""

from __future__ import annotations

import argparse
import linecache
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import page

import flowbook

sys.path.append(str(Path(__file__).with_name("peers")))  # the workloads are those of the comparison
import serving
import with_flowbook
from places import Places
from serving import Asked, Figures, timed

PACKAGE = Path(flowbook.__file__).parent
EVERY_S = 0.001

Line = tuple[str, int]
"""A file and the number of a line in it."""


class Samples:
    """Counts in which line of flowbook the main thread is, whenever the timer rings."""

    def __init__(self) -> None:
        self.lines: Counter[Line] = Counter()

    def ring(self, signal_number: int, frame: FrameType | None) -> None:
        """Count the innermost line of flowbook."""
        while frame is not None and not frame.f_code.co_filename.startswith(str(PACKAGE)):
            frame = frame.f_back
        if frame is not None:
            number = frame.f_lineno or frame.f_code.co_firstlineno  # between two lines there may be none
            self.lines[frame.f_code.co_filename, number] += 1

    @contextmanager
    def taken(self) -> Iterator[Figures]:
        """Do as `timed`, and count meanwhile."""
        with timed() as figures:
            signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
            try:
                yield figures
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)


Workload = Callable[[Places], Figures]


def _case(case: str, atoms: int, storage: str, places: Places) -> Figures:
    return with_flowbook.CASES[case](Asked(case, atoms, places.new(storage) if storage else ""))


WORKLOADS: dict[str, Workload] = {
    "memory, chain": partial(_case, "run chain", 10_000, ""),
    "memory, fan": partial(_case, "run fan", 10_000, ""),
    "memory, layered DAG": partial(_case, "run layers", 10_000, ""),
    "memory, fan on 8 threads": partial(_case, "threads fan", 10_000, ""),
    "compile, chain": partial(_case, "compile chain", 10_000, ""),
    "compile, layered DAG": partial(_case, "compile layers", 10_000, ""),
    "SQLite, chain": partial(_case, "durable chain", 1_000, "sqlite"),
    "SQLite, fan on 8 threads": partial(_case, "durable fan", 1_000, "sqlite"),
    "directory, chain": partial(_case, "durable chain", 1_000, "dir"),
    "directory, fan on 8 threads": partial(_case, "durable fan", 1_000, "dir"),
    "PostgreSQL, chain": partial(_case, "durable chain", 1_000, "postgresql"),
    "PostgreSQL, fan on 8 threads": partial(_case, "durable fan", 1_000, "postgresql"),
    "SQLite, resume": partial(_case, "resume", 4_000, "sqlite"),
}


def profile(workload: Workload, places: Places, seconds: float) -> tuple[Samples, float]:
    """Return the samples of so many seconds of processor time, at least, and the seconds that were measured."""
    samples = Samples()
    workload(places)  # warm
    serving.timed = samples.taken
    signal.signal(signal.SIGPROF, samples.ring)
    measured, ends = 0.0, time.monotonic() + 10 * seconds
    while measured < seconds and time.monotonic() < ends:
        measured += workload(places)["cpu_s"]
    serving.timed = timed
    return samples, measured


def hottest(samples: Samples, lines: int) -> Iterator[tuple[str, str, str]]:
    """Yield the share of the hottest lines, where they are, and their text."""
    for (file, number), count in samples.lines.most_common(lines):
        text = " ".join(linecache.getline(file, number).split())
        yield f"{count / samples.lines.total():.1%}", f"{Path(file).relative_to(PACKAGE)}:{number}", text


def table(found: Mapping[str, Iterable[tuple[str, str, str]]]) -> str:
    """Return the hottest lines as a table of the page."""
    rows = [(name, *line) for name, lines in found.items() for line in lines]
    told = [
        f"   * - {name}\n     - {share}\n     - ``{where}``\n     - ``{text}``" for name, share, where, text in rows
    ]
    header = "   * - workload\n     - share\n     - where\n     - line"
    return "\n".join([".. list-table::", "   :header-rows: 1", "", header, *told, ""])


def main() -> None:
    """Print the hottest lines of each workload, or write them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, default=3, help="how many of each workload")
    parser.add_argument("--seconds", type=float, default=4.0, help="of processor time for each")
    parser.add_argument("--only", default="", help="only workloads whose name contains this")
    page.add_write(parser, "profiles")
    asked = parser.parse_args()
    found: dict[str, list[tuple[str, str, str]]] = {}
    with Places() as places:
        for name, workload in WORKLOADS.items():
            if asked.only in name:
                samples, measured = profile(workload, places, asked.seconds)
                found[name] = list(hottest(samples, asked.lines))
                print(f"\n{name}: {samples.lines.total()} samples in {measured:.1f} s")
                for share, where, text in found[name]:
                    print(f"{share:>6}  {where:36} {text}", flush=True)
    if asked.write:
        page.write("profiles", table(found))


if __name__ == "__main__":
    main()
