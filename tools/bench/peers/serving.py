"""The half of the comparison that every side has: a process that measures the cases it is asked for, one by one.

A side lives in an environment of its own, so this module needs the standard library only. Requests and answers are
lines of JSON on the standard input and output; whatever else a side prints goes to the standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

_ROUND_TAKES_AT_LEAST_S = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """One round of a case: how many atoms, and where records go (a URL or a folder that is empty, or nothing)."""

    case: str
    atoms: int
    place: str = ""


Figures = dict[str, float]
"""What a round took: ``seconds``, ``cpu_s`` of this process, and what else a side can tell."""

Case = Callable[[Asked], Figures]


@contextmanager
def timed() -> Iterator[Figures]:
    """Measure what is done inside; the figures are complete at its end."""
    figures: Figures = {}
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    yield figures
    figures["seconds"], figures["cpu_s"] = time.perf_counter() - began, time.process_time() - cpu


def _measured(case: Case, asked: Asked) -> Figures:
    """Return the figures of a round; what ends sooner and writes nothing is repeated, and the median time counts.

    A short one alone would tell how soon a process that has waited for the others is at full speed.
    """
    found = [case(asked)]
    while not asked.place and sum(figures["seconds"] for figures in found) < _ROUND_TAKES_AT_LEAST_S:
        found.append(case(asked))
    return sorted(found, key=lambda figures: figures["seconds"])[len(found) // 2]


def serve(cases: Mapping[str, Case]) -> None:
    """Answer requests until there are no more; a case that raises is answered with its error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = Asked(**json.loads(line))
        try:
            answer: object = _measured(cases[asked.case], asked)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
