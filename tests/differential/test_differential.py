"""TaskFlow and this package run the same random flows: final states, results and the order of events are equal.

A failure prints its seed, the smallest case that fails alike, and the command that plays it again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from differential.differences import WHOLE
from differential.drawing import draw, outline
from differential.judging import Verdict, judge
from differential.peer import Peer, interpreter
from differential.recording import Spec
from differential.shrinking import shrink

CHUNKS, CASES_A_CHUNK = (20, 5_000) if os.environ.get("FLOWBOOK_FULL") == "1" else (4, 250)
LEAST_SHARE = 0.1
MOST_EXCUSED = 0.05
"""No difference that excuses a whole case may be needed in a larger share of them than this."""

COVERED = ("asked a nested retry", "failed reverting", "asked a decider", "suspended and resumed")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Let no resumed run be logged: there are thousands."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(interpreter()) as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_both_engines_do_the_same(chunk: int, peer: Peer) -> None:
    cases = CASES_A_CHUNK
    counts: Counter[str] = Counter()
    for seed in range(chunk * cases, (chunk + 1) * cases):
        spec = draw(seed)
        verdict = judge(spec, peer)
        if verdict.mismatches:
            pytest.fail(told(spec, verdict, peer), pytrace=False)
        counts.update(features(spec, verdict))
    print(f"seeds {chunk * cases} to {(chunk + 1) * cases - 1}: {dict(counts.most_common())}")
    assert {name: counts[name] / cases >= LEAST_SHARE for name in COVERED} == dict.fromkeys(COVERED, True)
    assert {name: counts[name] / cases <= MOST_EXCUSED for name in WHOLE} == dict.fromkeys(WHOLE, True)


@pytest.mark.skipif("FLOWBOOK_SEED" not in os.environ, reason="plays the seed that FLOWBOOK_SEED names")
def test_replay_of_one_seed(peer: Peer) -> None:
    spec = draw(int(os.environ["FLOWBOOK_SEED"]))
    verdict = judge(spec, peer)
    print(outline(spec), spec, sep="\n")
    for side, outcome in (("theirs", verdict.theirs), ("ours", verdict.ours)):
        print(side, *(outcome.get("log") or [outcome["broken"]]), sep="\n    ")
    if verdict.mismatches:
        pytest.fail(told(spec, verdict, peer), pytrace=False)


def told(spec: Spec, verdict: Verdict, peer: Peer) -> str:
    """Return what is to be known of a failure."""
    kinds = {mismatch.kind for mismatch in verdict.mismatches}

    def fails_alike(smaller: Spec) -> bool:
        return bool(kinds & {mismatch.kind for mismatch in judge(smaller, peer).mismatches})

    smallest = shrink(spec, fails_alike)
    lines = [str(mismatch) for mismatch in judge(smallest, peer).mismatches]
    return "\n".join(
        [
            f"seed {spec['seed']}: {', '.join(sorted(kinds))} differ; the smallest case, in short and in full:",
            outline(smallest),
            str(smallest),
            *lines,
            f"replay: FLOWBOOK_SEED={spec['seed']} python -m pytest tests/differential -k replay -s",
        ]
    )


def features(spec: Spec, verdict: Verdict) -> Iterator[str]:
    """Yield what a case has that is counted."""
    log = verdict.theirs["log"]
    asked = {who for who, what, *_ in log if what == "on_failure"}
    states = {rest[0] for _, what, *rest in log if what == "state"}
    yield f"ended {verdict.ours['ends'][-1]}"
    if asked & set(nested_retries(spec["flow"], False)):
        yield "asked a nested retry"
    if "REVERT_FAILURE" in states:
        yield "failed reverting"
    if any(what == "decide" for _, what, *_ in log):
        yield "asked a decider"
    if "IGNORE" in states:
        yield "ignored an atom"
    if "RETRYING" in states:
        yield "tried again"
    if len(verdict.theirs["ends"]) > 1:
        yield "suspended and resumed"
    if verdict.orders > 1:
        yield "needed another order"
    yield from verdict.differences


def nested_retries(flow: Spec, within: bool) -> Iterator[str]:
    """Yield the names of the retries that have another one around them."""
    if flow["retry"] and within:
        yield flow["retry"]["name"]
    for child in flow["children"]:
        if child["kind"] == "flow":
            yield from nested_retries(child, within or bool(flow["retry"]))
