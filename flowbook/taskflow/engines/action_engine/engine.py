"""TaskFlow's ``engines.action_engine.engine``: its engines, which let a native engine run the flow."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from itertools import chain
from typing import Any, Final, NoReturn

from flowbook.engines.engine import Engine as NativeEngine
from flowbook.engines.options import Options
from flowbook.engines.results import live
from flowbook.engines.storage import as_inline
from flowbook.events import ANY, Notice
from flowbook.exceptions import FlowbookError, InternalError, InvalidState, NotPossible
from flowbook.taskflow import exceptions, states
from flowbook.taskflow.engines import base
from flowbook.taskflow.engines.action_engine import executor as executors
from flowbook.taskflow.engines.compilation import Compilation
from flowbook.taskflow.engines.details import PROGRESS, Details
from flowbook.taskflow.persistence.models import ENDINGS
from flowbook.taskflow.persistence.rows import FIELDS
from flowbook.taskflow.storage import Storage
from flowbook.taskflow.task import EVENT_UPDATE_PROGRESS, Task
from flowbook.taskflow.types.failure import Failure

_PHASES: Final = (states.SCHEDULING, states.WAITING, states.ANALYZING)
_FALSE: Final = ("0", "f", "false", "off", "n", "no")
_EXECUTORS: Final[Mapping[str, type[executors.ParallelThreadTaskExecutor]]] = {
    **dict.fromkeys(("threads", "thread", "threaded"), executors.ParallelThreadTaskExecutor),
    **dict.fromkeys(("greenthreads", "greenthread", "greenthreaded"), executors.ParallelGreenThreadTaskExecutor),
}


class ActionEngine(base.Engine):
    """Runs a flow in this process.

    Options: ``defer_reverts`` and ``never_resolve`` are those of the native engine; with ``inject_transient=False``
    what atoms are made to inject is written with their details.
    """

    _details: Details
    _native: NativeEngine

    def __init__(self, flow: Any, flow_detail: Any, backend: Any, options: Mapping[str, Any] | None) -> None:
        super().__init__(flow, flow_detail, backend, options)
        self.compilation: Compilation | None = None  # until the flow is compiled
        self.storage = Storage(
            flow_detail, backend, lambda name: None if self.compilation is None else self.compilation.scopes_of(name)
        )
        self._is_prepared = self._is_mute = False
        self._lock = threading.Lock()
        self._task_executor = self._make_executor()
        self._state = ""  # that was told last

    def compile(self) -> None:
        """Check the flow and bring it into the form that is run; raises what making a `Compilation` raises."""
        if self.compilation is None:
            compilation = Compilation(self._flow)
            details: Any = Details(self.storage, self._flow_detail, compilation.plan)  # all that a backend is
            flags: Any = {name: self._flag(name, default=False) for name in ("defer_reverts", "never_resolve")}
            options = Options(self.storage.flow_uuid, rerun=True, **flags, **self._task_executor.options)
            self._details, self.compilation = details, compilation
            self._native = self._task_executor.engine(compilation.native, details, {}, options)
            self._native.notifier.register(ANY, lambda notice: self._on_state(str(notice.state)))
            self._native.atom_notifier.register(ANY, self._on_atom)

    def prepare(self) -> None:
        """Give every atom its detail, and reset a flow that was reverted."""
        compilation = self._compiled_for("prepare")
        if not self._is_prepared:
            self._move(states.RESUMING)
            self.storage.ensure_atoms(compilation.atoms)
            for atom in compilation.atoms:
                if injected := getattr(atom, "inject", None):  # a native atom has what it injects for itself
                    self.storage.inject_atom_args(atom.name, injected, self._flag("inject_transient", default=True))
            self._move(states.SUSPENDED)
            self._is_prepared = True
        if self.storage.get_flow_state() == states.REVERTED:
            self.reset()

    def validate(self) -> None:
        """Raise MissingDependencies unless every atom will get what it requires."""
        self._compiled_for("validate", prepared=True).check_given(self.storage)

    def reset(self) -> None:
        """Make every atom, and the flow, PENDING again. Raises InvalidState while the flow is running."""
        self._compiled_for("reset", prepared=True)
        self._state = self.storage.get_flow_state()
        try:
            self._native.reset()
        except FlowbookError as error:
            _raise(error)

    def suspend(self) -> None:
        """Ask a running engine to start nothing more; ignored when nothing runs."""
        self._compiled_for("suspend")
        self._native.suspend()

    def run(self, timeout: float | None = None) -> None:
        """Run the flow until it ends or is suspended; ``timeout`` means nothing.

        Raises the exception of the atom that failed, WrappedFailure for several or for one of another process,
        MissingDependencies, StorageFailure, and ExecutionFailure when the engine is running already.
        """
        for _ in self.run_iter(timeout):
            pass

    def run_iter(self, timeout: float | None = None) -> Iterator[str]:
        """Run the flow, yielding the phases of the engine and at last the state that the flow is in.

        Sending something true, or closing the iterator, suspends the flow; an exception thrown in makes it fail.
        Raises what `run` raises.
        """
        if not self._lock.acquire(blocking=False):
            raise exceptions.ExecutionFailure("another thread runs this engine: wait for it to end")
        try:
            self.compile()
            self.prepare()
            self.validate()
            yield from self._run()
        finally:
            self._lock.release()

    def _make_executor(self) -> executors.ParallelThreadTaskExecutor:
        return executors.SerialTaskExecutor()

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.options.get(name, default)
        return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)

    def _compiled_for(self, step: str, *, prepared: bool = False) -> Compilation:
        if self.compilation is None:
            raise exceptions.InvalidState(f"call compile() before {step}()")
        if prepared and not self._is_prepared:
            raise exceptions.InvalidState(f"call prepare() before {step}()")
        return self.compilation

    # -- one run --

    def _run(self) -> Iterator[str]:
        self._state = self.storage.get_flow_state()
        self.statistics = {"completed": 0, "discarded_failures": 0}
        tasks = [atom for atom in self._compiled_for("run").atoms if isinstance(atom, Task)]
        heard = [task for task in tasks if task.notifier.can_be_registered(EVENT_UPDATE_PROGRESS)]
        for task in heard:
            task.notifier.register(EVENT_UPDATE_PROGRESS, self._on_progress, args=(task.name,))
        native: Any = self._native.run_iter()  # a generator
        began, wished = time.monotonic(), False
        try:
            for phase in self._padded(native):
                if phase == states.FAILURE:
                    break
                wished = bool((yield phase)) or wished
                if wished and phase in (states.RESUMING, states.ANALYZING):  # what was just started is waited for
                    self.suspend()
        except Exception as error:
            self._fail(native, error)
        finally:
            native.close()
            for task in heard:
                task.notifier.deregister(EVENT_UPDATE_PROGRESS, self._on_progress)
            self.statistics["active_for"] = time.monotonic() - began
        if self._state not in (states.SUCCESS, states.SUSPENDED):
            # failures to revert, or of retries to answer, come before those that were not made good
            failed = [atom.failure for atom in self._flow_detail if atom.failure is not None]
            unanswered = [live(handle) for handle in self._native.storage.run.hook_failure.values()]
            Failure.reraise_if_any(list(self.storage.get_revert_failures().values()) or unanswered or failed)

    def _padded(self, native: Iterator[str]) -> Iterator[str]:
        """Yield RESUMING, then the phases, which are there also where there was nothing to do."""
        first = next(native)  # now the flow is RUNNING
        yield from map(str, chain((states.RESUMING,), () if first in _PHASES else _PHASES, (first,), native))

    def _fail(self, native: Any, error: Exception) -> NoReturn:
        """End the run, after what is at work has ended, with no word about the flow but that it failed."""
        self._is_mute = True
        native.close()
        self._is_mute = False
        if isinstance(error, FlowbookError):  # known to this process alone: the storage may be in trouble
            self._flow_detail.state = states.FAILURE
        else:  # thrown in
            self.storage.set_flow_state(states.FAILURE)
        self._on_state(states.FAILURE)
        _raise(error)

    # -- what is told --

    def _move(self, state: str) -> None:
        moved, self._state = self.storage.change_flow_state(state)
        if moved:
            self._on_state(state)

    def _on_state(self, state: str) -> None:
        if state != self._state and not self._is_mute:
            old_state, self._state = self._state, state
            names = {"flow_name": self.storage.flow_name, "flow_uuid": self.storage.flow_uuid}
            self.notifier.notify(state, {"engine": self, **names, "old_state": old_state})

    def _on_atom(self, notice: Notice) -> None:
        """Tell of the state that an atom got into, unless it was found in it, and its task of the progress it means."""
        name, state, old_state = notice.atom, str(notice.state), str(notice.old_state)
        if state == old_state:
            return
        told: dict[str, Any] = {f"{notice.kind}_name": name, f"{notice.kind}_uuid": self.storage.get_atom_uuid(name)}
        if state in ENDINGS:
            self.statistics["completed"] += 1
            self.statistics["discarded_failures"] += state == states.FAILURE
            gave = self._details.gave.pop((name, state), {}).get(FIELDS[ENDINGS[state][0]])
            told["result"] = None if gave is None else live(as_inline(gave))
        self.atom_notifier.notify(state, {**told, "old_state": old_state})
        atom = self._native.storage.plan.atom(self._native.storage.plan.index[name])
        if state in PROGRESS and isinstance(atom, Task):
            atom.update_progress(PROGRESS[state])

    def _on_progress(self, event_type: str, name: str, details: dict[str, Any]) -> None:
        """Write what a task tells of its progress, unless it is known already."""
        progress = details.pop("progress", None)
        if progress is not None and (details or progress != self.storage.get_task_progress(name)):
            self.storage.set_task_progress(name, progress, details)


class SerialActionEngine(ActionEngine):
    """Runs atoms one after the other in the thread that calls `run`."""


class ParallelActionEngine(ActionEngine):
    """Runs atoms side by side.

    Options: ``executor`` is ``threads`` (or ``thread``, ``threaded``) or an executor of `concurrent.futures`, which is
    never shut down; ``max_workers`` bounds the threads. Raises ValueError and TypeError for other executors.
    """

    def _make_executor(self) -> executors.ParallelThreadTaskExecutor:
        wanted, workers = self.options.get("executor"), self.options.get("max_workers")
        if not isinstance(wanted, str | Executor | None):
            raise TypeError(f"Unknown executor {wanted!r}: expected an executor of concurrent.futures")
        name, given = (wanted.lower(), None) if isinstance(wanted, str) else ("threads", wanted)
        if name not in _EXECUTORS:
            raise ValueError(f"Unknown executor string {wanted!r}: expected one of {', '.join(_EXECUTORS)}")
        return _EXECUTORS[name](given, None if workers is None else int(workers))


def _raise(error: Exception) -> NoReturn:
    """Raise TaskFlow's error for a native one; what is the user's own, or our own fault, is raised as it is."""
    if isinstance(error, InternalError) or not isinstance(error, FlowbookError):
        raise error
    kind = exceptions.InvalidState if isinstance(error, InvalidState | NotPossible) else exceptions.StorageFailure
    raise kind(str(error), error) from error
