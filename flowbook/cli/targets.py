"""Which flow is meant: ``FILE.py::NAME`` or ``package.module:NAME``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from flowbook.atoms.base import Atom
from flowbook.cli import parameters
from flowbook.cli.trouble import in_code_of
from flowbook.engines.factories import Factory, factory_of_file
from flowbook.exceptions import NotPossible
from flowbook.flows.base import Flow


class Found(NamedTuple):
    """A flow, what builds it again, and the parameters that it was not built with: only functions take some."""

    factory: Factory
    flow: Flow | Atom
    not_taken: Mapping[str, str]


def flow_of(target: str, params: Mapping[str, str]) -> Found:
    """Return the flow that ``target`` names, a function called with ``params``. Raises UsageError, for its code too."""
    factory, not_taken = factory_of(target), params
    with in_code_of(target):
        found = factory.find()
    if callable(found) and not isinstance(found, Atom):
        factory, not_taken = replace(factory, kwargs=parameters.arguments_for(found, params)), {}
    with in_code_of(target):
        return Found(factory, factory.build(), not_taken)


def factory_of(target: str) -> Factory:
    """Return the factory that ``target`` names, without its arguments. Raises NotPossible; loads nothing yet."""
    file, colons, name = target.rpartition("::")
    if colons:
        if not file or not name:
            raise NotPossible(f"{target!r} names no flow", where=target, todo="give FILE.py::NAME")
        make_importable([file])
        return factory_of_file(Path(file), name, kwargs={})
    module, colon, name = target.partition(":")
    if name and module.endswith(".py"):
        raise NotPossible(f"{target!r} names no flow", where=target, todo=f"did you mean {module}::{name}?")
    if target.endswith(".py") or Path(target).is_file():
        raise NotPossible(f"which flow in {target}?", where=target, todo=f"give its name too: {target}::NAME")
    if not colon or not module or not name:
        raise NotPossible(f"{target!r} names no flow", where=target, todo="give FILE.py::NAME or package.module:NAME")
    make_importable([module])
    return Factory(name, module=module)


def make_importable(sources: Iterable[str]) -> None:
    """Let files import what lies beside them, and modules be found from the current directory, as Python does it."""
    for source in sources:
        folder = str(Path(source).resolve().parent if source.endswith(".py") else Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
