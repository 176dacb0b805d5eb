"""Which flow is meant: ``FILE.py::NAME`` or ``package.module:NAME``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from flowbook.engines.factories import Factory, factory_of_file
from flowbook.exceptions import NotPossible


def factory_of(target: str) -> Factory:
    """Return the factory that ``target`` names, without its arguments. Raises NotPossible; loads nothing yet."""
    file, colons, name = target.rpartition("::")
    if colons:
        if not file or not name:
            raise NotPossible(f"{target!r} names no flow", where=target, todo="give FILE.py::NAME")
        make_importable([file])
        return factory_of_file(Path(file), name, kwargs={})
    module, colon, name = target.partition(":")
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
