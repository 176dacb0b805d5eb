"""TaskFlow's ``engines.helpers``: making an engine for a flow, a flow detail or a factory."""

import pkgutil
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flowbook.exceptions import UnknownPlugin
from flowbook.plugins import load_plugin
from flowbook.taskflow import exceptions
from flowbook.taskflow.engines.action_engine.engine import ParallelActionEngine, SerialActionEngine
from flowbook.taskflow.engines.worker_based.engine import WorkerBasedActionEngine
from flowbook.taskflow.persistence import backends
from flowbook.taskflow.persistence.models import FlowDetail, LogBook
from flowbook.taskflow.utils import persistence_utils

ENGINES_NAMESPACE = "taskflow.engines"
"""The entry points in which other packages offer engines; the kinds below come first."""

_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("default", "serial"), SerialActionEngine),
    "parallel": ParallelActionEngine,
    **dict.fromkeys(("worker-based", "workers"), WorkerBasedActionEngine),
}

Values = Mapping[str, Any] | None
Factory = str | Callable[..., Any]  # what it returns is judged when it is compiled


def load(
    flow: Any,
    store: Values = None,
    flow_detail: FlowDetail | None = None,
    book: LogBook | None = None,
    backend: Any = None,
    namespace: str = ENGINES_NAMESPACE,
    engine: str = "default",
    **kwargs: Any,
) -> Any:  # an engine of any kind
    """Return an engine for ``flow``, with ``store`` put into its storage.

    ``engine`` names the kind, or is a URL with the kind as its scheme and options in its query; ``kwargs`` are options
    too, and win. ``backend`` is a backend or the configuration of one. Without ``flow_detail`` one is made, in
    ``book`` if it is given. Raises NotFound for an unknown kind.
    """
    kind, is_url, _ = (engine or "default").partition("://")
    options = {**dict(parse_qsl(urlsplit(engine).query)), **kwargs} if is_url else kwargs
    backend = _fetched(backend)
    if flow_detail is None:
        flow_detail = persistence_utils.create_flow_detail(flow, book=book, backend=backend)
    try:
        made_by = _KINDS.get(kind) if namespace == ENGINES_NAMESPACE else None
        made = (made_by or load_plugin(namespace, kind))(flow, flow_detail, backend, options)
    except UnknownPlugin as error:
        raise exceptions.NotFound(f"no engine is called {kind!r}", error) from error
    if store:
        made.storage.inject(store)
    return made


def run(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Load a flow with the arguments of `load`, run it, and return all its results by name."""
    engine = load(*args, **kwargs)
    engine.run()
    return dict(engine.storage.fetch_all())


def load_from_factory(
    flow_factory: Factory, factory_args: Any = None, factory_kwargs: Values = None, store: Values = None, **kwargs: Any
) -> Any:
    """Return an engine for the flow that a function (or the name of one) gives, and note how to make that flow again.

    The others are those of `load`. Raises ValueError for a function that cannot be imported by its name, ImportError
    for a name that leads nowhere.
    """
    engine = load(_named(flow_factory)[1](*(factory_args or ()), **(factory_kwargs or {})), store, **kwargs)
    storage = engine.storage
    save_factory_details(storage._flowdetail, flow_factory, factory_args, factory_kwargs, storage.backend)
    return engine


def load_from_detail(detail: FlowDetail, store: Values = None, backend: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return an engine that continues ``detail``, whose flow is made again as noted; the rest is as in `load`."""
    return load(flow_from_detail(detail), store, detail, None, backend, *args, **kwargs)


def flow_from_detail(flow_detail: FlowDetail) -> Any:
    """Return the flow that the noted factory gives. Raises ValueError if there is none, ImportError if it is gone."""
    factory = (flow_detail.meta or {}).get("factory")
    if factory is None:
        whose = f"flow {flow_detail.name} {flow_detail.uuid}"
        raise ValueError(f"Cannot reconstruct {whose}: no factory information saved.")
    return _named(factory["name"])[1](*factory.get("args", ()), **factory.get("kwargs", {}))


def save_factory_details(
    flow_detail: FlowDetail, flow_factory: Factory, args: Any, kwargs: Values, backend: Any = None
) -> None:
    """Note in ``flow_detail`` how its flow is made, and write that where there is a backend."""
    noted = {"name": _named(flow_factory)[0], "args": args or [], "kwargs": kwargs or {}}
    flow_detail.meta = {**(flow_detail.meta or {}), "factory": noted}
    if backend is not None:
        with closing(_fetched(backend).get_connection()) as connection:
            connection.update_flow_details(flow_detail)


def _fetched(backend: Any) -> Any:
    return backends.fetch(backend) if isinstance(backend, Mapping) else backend


def _named(factory: Factory) -> tuple[str, Callable[..., Any]]:
    """Return the name of a factory, and the factory. Raises ImportError, and ValueError for a nameless function."""
    name = factory if isinstance(factory, str) else f"{factory.__module__}.{factory.__qualname__}"
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        if isinstance(factory, str):
            raise ImportError(f"Could not import factory {name!r}: {error}") from error
        found = None
    if factory not in (name, found):
        raise ValueError(f"Flow factory {factory!r} is not reimportable: importing {name} does not give it")
    return name, found
