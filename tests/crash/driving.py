"""What a process does that may crash: run a flow to its end, and tell what came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from crash.flows import CANONICAL, in_attempt, lines_of, on_cancel
from flowbook import FlowState, Notice, WrappedFailure, engines
from flowbook.clock import Clock
from flowbook.engines.errors import AtomCancelled, FlowCancelled
from flowbook.exceptions import FlowOwned, NotFound, OwnershipLost, StorageBusy, StorageUnavailable
from flowbook.persistence import fetch
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.states import FINISHED
from flowbook.testing.faults import Counting, CrashAtCommit, kill_this_process
from flowbook.testing.files import CHANGING, CrashingFiles, stop_this_process

RUN = "r"
ENGINES: dict[str, dict[str, Any]] = {
    "serial": {"engine": "serial"},
    "parallel": {"engine": "parallel", "max_workers": 3},
}
ENTRIES_MAX = 10


class SteppingClock:
    """A second passes whenever somebody looks: progress is then written each time that it is told.

    The more lines the log has, the later the clock begins: it is never set back where one process follows another.
    """

    def __init__(self, log: str) -> None:
        self._at = 1_000.0 * len(lines_of(log))

    def now(self) -> float:
        self._at += 1.0
        return self._at


class CrashAtCall(Counting):
    """Crashes right before call number ``at`` of any verb."""

    def __init__(self, inner: Backend, at: int) -> None:
        super().__init__(inner)
        self._at = at

    def count(self, verb: str) -> int:
        count = super().count(verb)
        if self.calls.total() == self._at:
            kill_this_process()
        return count


class Mortal(CrashAtCommit):
    """Stands for a process whose storage lives no longer: after the crash nothing reaches the storage any more."""

    def __init__(self, inner: Backend, *, commit: int, when: Literal["before", "after"]) -> None:
        super().__init__(inner, at=commit, when=when, crash=self._die)
        self._is_dead = False

    def _die(self) -> None:
        self._is_dead = True
        raise StorageUnavailable(self.url, "this process dies")

    def count(self, verb: str) -> int:
        if self._is_dead:
            raise StorageUnavailable(self.url, "its process is dead")
        return super().count(verb)


def drive(
    flow: str, backend: Backend, *, engine: str, log: str, run_id: str = RUN, **options: object
) -> dict[str, Any]:
    """Run a canonical flow until it is finished, however often that needs to be begun; return what came of it.

    ``options`` are more of the engine's.
    """
    canonical = CANONICAL[flow]
    for _ in range(ENTRIES_MAX):
        made = engines.load(
            canonical.make(),
            {"log": log},
            backend=backend,
            run_id=run_id,
            clock=SteppingClock(log),
            **{**ENGINES[engine], **options},
        )
        if canonical.suspended_by:
            made.atom_notifier.register("*", _suspending(made.suspend, canonical.suspended_by))
        on_cancel(made.cancel)
        try:
            made.run()
        except (ValueError, OSError, WrappedFailure, FlowCancelled):
            assert made.state in FINISHED
        if made.state is not FlowState.SUSPENDED:
            return outcome(made, backend, run_id)
    raise AssertionError(f"still suspended after {ENTRIES_MAX} entries")


def _suspending(suspend: Callable[[], None], at: frozenset[tuple[str, str]]) -> Callable[[Notice], None]:
    return lambda notice: suspend() if (notice.atom, notice.state) in at else None


def outcome(engine: engines.Engine, backend: Backend, run_id: str = RUN) -> dict[str, Any]:
    """Return how a run ended, as its engine says and as its logbook says."""
    storage, records = engine.storage, backend.load(run_id)
    failures, revert_failures = storage.get_failures(), storage.get_revert_failures()
    atoms = records.kind("atom")
    names = [atom.name for atom in engine.compilation.plan.atoms if atom is not None]
    states = {name: storage.get_atom_state(name).value for name in names}
    assert states == {name: atoms[name]["state"] if name in atoms else "PENDING" for name in names}
    assert engine.state.value == records.kind("flow")[run_id]["state"]
    return {
        "ended": {
            "flow": engine.state.value,
            "atoms": states,
            "results": {symbol: value for symbol, value in storage.fetch_all().items() if symbol != "log"},
            "failures": {  # whether what was cancelled ended before its process did is chance
                name: failure.type_names[0] for name, failure in failures.items() if not failure.check(AtomCancelled)
            },
            "revert failures": {name: failure.type_names[0] for name, failure in revert_failures.items()},
            "metadata": {name: row["metadata"] for name, row in atoms.items() if row.get("metadata")},
        },
        "attempts": attempts_of(records),
        "commits": backend.calls["commit"] if isinstance(backend, Counting) else 0,
        "calls": backend.calls.total() if isinstance(backend, Counting) else 0,
    }


def attempts_of(records: FlowRecords) -> list[list[Any]]:
    """Return the history: atom, direction, round, attempt and outcome of each attempt that ended."""
    return [
        [atom, row["direction"], row["round"], row["attempt"], row["outcome"]]
        for atom, rows in records.appended.get("attempt", {}).items()
        for row in rows
    ]


def look(backend: Backend, log: str, run_id: str = RUN) -> dict[str, Any]:
    """Return what a crash left: the lines of the log, and of each atom with a record its state, attempts and round."""
    try:
        rows: Mapping[str, Mapping[str, Any]] = backend.load(run_id).kind("atom")
    except NotFound:
        rows = {}
    return {
        "lines": len(lines_of(log)),
        "atoms": {
            name: [row["state"], row.get("attempt", 0), row.get("revert_attempt", 0), row.get("round", 0)]
            for name, row in rows.items()
        },
    }


def run(
    flow: str,
    conf: dict[str, Any],
    engine: str,
    log: str,
    crash: dict[str, Any],
    *,
    run_id: str = RUN,
    found: str = "",
    act: Callable[[], None] = kill_this_process,
    **options: object,
) -> dict[str, Any]:
    """Run a flow in a process of its own, which crashes where ``crash`` says.

    What it finds at first is written to the file ``found``, if it names one; ``options`` are more of the engine's.
    ``act`` is what it does at a commit that ``crash`` names.
    """
    statements = crash_at_statement(crash["statement"]) if "statement" in crash else [0]
    when, at = crash.get("when", "before"), crash.get("call_of_files", 0)
    writes = CrashingFiles(LocalFiles(), at=crash.get("write", 0), when=when, verbs=["write"])
    files = CrashingFiles(writes, at=at, when=when, verbs=CHANGING)
    with opened(conf, files) as inner:
        if found:
            Path(found).write_text(json.dumps(look(inner, log, run_id)))
        backend: Counting = CrashAtCommit(inner, at=crash.get("commit", 0), when=when, crash=act)
        if "call" in crash:
            backend = CrashAtCall(inner, crash["call"])
        answer = drive(flow, backend, engine=engine, log=log, run_id=run_id, **options)
    return {**answer, "statements": statements[0], "writes": writes.count, "calls_of_files": files.count}


def run_until_woken(crash: dict[str, Any], **how: Any) -> str:
    """Run a flow as `run` does, in a process that stops itself where ``crash`` says; return how it ended."""
    if crash.get("when") == "in":
        in_attempt(crash["commit"], stop_this_process)
        crash = {}
    try:
        run(**how, crash=crash, act=stop_this_process)
    except (FlowOwned, OwnershipLost) as error:
        return type(error).__name__
    except (StorageUnavailable, StorageBusy) as error:  # it slept past the time that it waits for a server
        return "StorageBusy" if isinstance(error, StorageBusy) else "StorageUnavailable"
    return "finished"


def opened(conf: dict[str, Any], files: Files, clock: Clock | None = None) -> Backend:
    """Return the backend that ``conf`` names; a logbook in a directory uses ``files`` and the clock."""
    if conf["connection"].startswith("dir:"):
        return DirectoryBackend(conf, files=files, clock=clock)
    return fetch(conf)


def crash_at_statement(at: int, crash: Callable[[], None] = kill_this_process, *, only: str = "") -> list[int]:
    """Crash right before SQL statement number ``at`` that begins with ``only``, whatever the connection to SQLite.

    Returns a list with the count of them, so far.
    """
    count = [0]

    def statement(text: str) -> None:
        count[0] += text.startswith(only)
        if text.startswith(only) and count[0] == at:
            crash()

    connect = sqlite3.connect

    def connect_and_count(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = connect_and_count  # type: ignore[assignment]
    return count
