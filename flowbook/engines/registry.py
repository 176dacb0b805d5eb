"""Making engines: load, run and resume."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Unpack

from flowbook.atoms.base import Atom
from flowbook.engines.awaiting import in_thread
from flowbook.engines.checking import checked
from flowbook.engines.engine import Engine
from flowbook.engines.factories import Factory, factory_of_callable, has_changed
from flowbook.engines.opening import look, state_of
from flowbook.engines.options import SCHEMA, EngineOptions, Options, check_id
from flowbook.engines.secrecy import check_given, check_recorded
from flowbook.exceptions import FactoryMissing, NotFound, NotPossible, WrongType, did_you_mean
from flowbook.flows.base import Flow
from flowbook.flows.compilation import compile_flow
from flowbook.persistence import fetch
from flowbook.persistence.backend import Backend, FlowRecords, Query
from flowbook.persistence.owners import lives_by_pid
from flowbook.persistence.registry import as_backend
from flowbook.plugins import load_plugin
from flowbook.states import FINISHED

LOG = logging.getLogger("flowbook")

GROUP: Final = "flowbook.engines"
"""Entry points of this group are callables like `Engine`."""

Storable = Backend | str | Mapping[str, object] | None
"""A backend, the URL or mapping to fetch one by, or None for one in memory."""


def load(
    flow: Flow | Atom,
    store: Mapping[str, object] | None = None,
    *,
    backend: Storable = None,
    run_id: str | None = None,
    engine: str = "serial",
    factory: Factory | None = None,
    **options: Unpack[EngineOptions],
) -> Engine:
    """Return an engine for ``flow``, compiled and checked, that has not claimed or written anything yet.

    ``store`` gives the inputs by symbol. ``run_id`` names the run in the backend: the same id again continues it; one
    is made up when none is given. ``engine`` is ``serial`` or ``parallel`` (``executor``: ``threads``, ``processes``,
    ``async`` or an executor of yours, ``max_workers``). The other options are those of `Options`: ``book``, ``rerun``,
    ``on_change``, ``take_over``, ``lease_s``, ``timeout``, ``commit``. A backend that is fetched here is closed at the
    end of each ``run``; one that you made stays open.

    Raises CompilationFailure with every wiring error, UnknownPlugin and NotPossible for what is asked in vain, and
    SecretMissing and SecretKeyMissing for an input whose secret cannot be had, or not be stored.
    """
    _check_options(options)
    if options.get("commit") == "never":
        backend = None
    chosen = Options(
        run_id=secrets.token_hex(6) if run_id is None else run_id,
        factory=None if factory is None else factory.to_row(),
        closes_backend=_is_fetched(backend),
        **options,
    )
    inputs = _checked_inputs(store)
    with using(backend) as opened:
        recorded = None if run_id is None else _recorded(opened, run_id)
        given = inputs if recorded is None else {*inputs, *recorded.kind("input")}
        compilation = compile_flow(flow, given)
        check_given(inputs, stores=not opened.keeps_references)
        if recorded is not None and (chosen.rerun or state_of(recorded) not in FINISHED):
            check_recorded(recorded)
        made: Engine = load_plugin(GROUP, engine)(compilation, opened, inputs, chosen)
        made.make_executor().shutdown()  # what cannot be made is refused now, before anything is claimed
        if recorded is not None:
            made.storage.recorded_state = state_of(recorded)
            look(made.storage, inputs, chosen)  # results of a finished run can be read at once
    return made


def run(
    flow: Flow | Atom,
    store: Mapping[str, object] | None = None,
    *,
    backend: Storable = None,
    run_id: str | None = None,
    engine: str = "serial",
    factory: Factory | None = None,
    **options: Unpack[EngineOptions],
) -> dict[str, Any]:
    """Load ``flow`` with the arguments of `load`, run it, and return every symbol with its value.

    A suspended flow returns what it has by then. Raises what `load` and `Engine.run` raise.
    """
    return _run(load(flow, store, backend=backend, run_id=run_id, engine=engine, factory=factory, **options))


async def arun(
    flow: Flow | Atom,
    store: Mapping[str, object] | None = None,
    *,
    backend: Storable = None,
    run_id: str | None = None,
    engine: str = "serial",
    factory: Factory | None = None,
    **options: Unpack[EngineOptions],
) -> dict[str, Any]:
    """Do what `run` does while the event loop of the caller goes on; see `Engine.arun`.

    Loading and reading the results happen in threads too.
    """
    call = partial(load, flow, store, backend=backend, run_id=run_id, engine=engine, factory=factory, **options)
    made = await in_thread(call, "flowbook load")
    await made.arun()
    return await in_thread(made.storage.fetch_all, "flowbook fetch")


def load_from_factory(
    flow_factory: Callable[..., Flow | Atom],
    factory_args: Sequence[Any] = (),
    factory_kwargs: Mapping[str, Any] | None = None,
    store: Mapping[str, object] | None = None,
    *,
    backend: Storable = None,
    run_id: str | None = None,
    engine: str = "serial",
    **options: Unpack[EngineOptions],
) -> Engine:
    """Return an engine for the flow that a function makes; the logbook keeps how, so that `resume` can make it again.

    The function must be importable by name, its arguments plain data: NotPossible is raised otherwise.
    """
    factory = factory_of_callable(flow_factory, factory_args, factory_kwargs or {})
    factory.to_row()  # refuses what it cannot keep, before anything is called
    flow = flow_factory(*factory_args, **(factory_kwargs or {}))
    return load(flow, store, backend=backend, run_id=run_id, engine=engine, factory=factory, **options)


def load_from_run(
    backend: Storable,
    run_id: str,
    *,
    allow: Collection[str] = (),
    engine: str = "serial",
    **options: Unpack[EngineOptions],
) -> Engine:
    """Return an engine for a recorded run, its flow rebuilt by the factory that the run recorded.

    Nothing is imported unless ``allow`` names it: the file, the module, or a package around it. Raises NotFound for
    an unknown run, FactoryRefused and FactoryMissing when its flow cannot be rebuilt.
    """
    check_id("run_id", run_id)
    with using(backend) as opened:
        row = checked(opened.load(run_id, ("flow",)), opened.url, SCHEMA).kind("flow")[run_id]
    if not isinstance(row.get("factory"), Mapping):
        raise FactoryMissing(run_id, "it was started from a flow object, and no factory was recorded")
    factory = Factory.from_row(row["factory"], run_id)
    factory.check_allowed(run_id, (allow,) if isinstance(allow, str) else allow)
    try:
        changed = has_changed(factory)
        flow = factory.build()
    except (ImportError, OSError, NotPossible) as error:
        raise FactoryMissing(run_id, str(error)) from error
    if changed:
        LOG.warning("%s has changed since run %r began", factory.path, run_id)
    return load(flow, backend=backend, run_id=run_id, engine=engine, factory=factory, **options)


def resume(
    backend: Storable,
    run_id: str,
    *,
    allow: Collection[str] = (),
    engine: str = "serial",
    **options: Unpack[EngineOptions],
) -> dict[str, Any]:
    """Continue a recorded run where it stopped and return every symbol with its value; see `load_from_run`."""
    return _run(load_from_run(backend, run_id, allow=allow, engine=engine, **options))


def suspend(backend: Storable, run_id: str) -> bool:
    """Ask the engine that runs ``run_id``, in whatever process, to suspend; return whether there is one to ask.

    Returns at once. The engine hears of it within about a second; attempts that run end and are saved, no other is
    started. Nothing is asked for a run that nobody works on or that is finished. Raises NotFound.
    """
    check_id("run_id", run_id)
    with using(backend) as opened:
        recorded = checked(opened.load(run_id, ("flow",)), opened.url, SCHEMA)
        owner = next((one.owner for one in opened.find(Query(flow=run_id))), None)
        if owner is None or lives_by_pid(owner) is False or state_of(recorded) in FINISHED:
            return False
        opened.post(f"flow:{run_id}", {"do": "suspend"})
        return True


def cancel(backend: Storable, run_id: str) -> bool:
    """Ask for ``run_id`` to be cancelled, and return whether an engine, in whatever process, is there to hear of it.

    Returns at once. An engine hears of it within about a second. For a run that nobody works on the request stays, and
    who resumes the run reverts it; of one that is finished nothing is asked. Raises NotFound.
    """
    check_id("run_id", run_id)
    with using(backend) as opened:
        recorded = checked(opened.load(run_id, ("flow",)), opened.url, SCHEMA)
        if state_of(recorded) in FINISHED:
            return False
        owner = next((one.owner for one in opened.find(Query(flow=run_id))), None)
        opened.post(f"flow:{run_id}", {"do": "cancel"})
        return owner is not None and lives_by_pid(owner) is not False


def _run(engine: Engine) -> dict[str, Any]:
    engine.run()
    return engine.storage.fetch_all()


def _is_fetched(backend: Storable) -> bool:
    return backend is None or isinstance(backend, str | Mapping)


@contextmanager
def using(backend: Storable) -> Iterator[Backend]:
    """Give the backend that is meant; one that is fetched here is closed again, and opens when it is used."""
    if backend is not None and not isinstance(backend, str | Mapping):
        yield as_backend(backend)
        return
    fetched = fetch("memory:" if backend is None else backend)
    try:
        yield fetched
    finally:
        fetched.close()


def _recorded(backend: Backend, run_id: str) -> FlowRecords | None:
    try:
        return checked(backend.load(run_id, ("flow", "input")), backend.url, SCHEMA)
    except NotFound:
        return None


def _checked_inputs(store: Mapping[str, object] | None) -> dict[str, object]:
    if store is not None and not isinstance(store, Mapping):
        raise WrongType("store", store, "a mapping of symbols to values")
    inputs = dict(store or {})
    for name in inputs:
        if not isinstance(name, str):
            raise WrongType("a symbol in store", name, "a string")
    return inputs


def _check_options(options: Mapping[str, object]) -> None:
    for name in options:
        if name not in EngineOptions.__annotations__:
            known = [*EngineOptions.__annotations__, "backend", "run_id", "engine", "store"]
            raise NotPossible(f"there is no option {name!r}", todo=did_you_mean(name, known))
