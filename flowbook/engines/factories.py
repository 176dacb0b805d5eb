"""Factories: how another process rebuilds the flow of a run, and what it must be allowed to load for that."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.engines.secrecy import refuse_clear
from flowbook.exceptions import FactoryMissing, FactoryRefused, NotPossible, WrongType, did_you_mean
from flowbook.flows.base import Flow
from flowbook.main_module import file_of
from flowbook.persistence.changes import Row


@dataclass(frozen=True, slots=True)
class Factory:
    """What gives a flow: ``name`` in a module (``module``, an import path) or in a file (``path``, with its digest).

    The name leads to a flow, to a task, or to a function that is called with ``args`` and ``kwargs`` (plain data).
    """

    name: str
    module: str = ""
    path: str = ""
    digest: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.path}::{self.name}" if self.path else f"{self.module}:{self.name}"

    def to_row(self) -> Row:
        """Return the factory as a record.

        Raises NotPossible when its arguments are not plain data, and EncodeError when they hold a secret in clear.
        """
        row = {"name": self.name, "module": self.module, "path": self.path, "digest": self.digest}
        row_and_arguments = {**row, "args": list(self.args), "kwargs": dict(self.kwargs)}
        if _as_stored(row_and_arguments) != row_and_arguments:
            raise NotPossible(
                f"the arguments of factory {self} are not plain data: {self.args} {dict(self.kwargs)}",
                todo="give None, bool, int, float, str, lists and dicts of them; pass other values in store",
            )
        refuse_clear(json.dumps(row_and_arguments, ensure_ascii=False), f"the arguments of factory {self}")
        return row_and_arguments

    @classmethod
    def from_row(cls, row: Mapping[str, Any], run: str) -> Factory:
        """Return the factory of a record. Raises FactoryMissing when it is not one."""
        try:
            known = {name: row[name] for name in ("name", "module", "path", "digest")}
            if not all(isinstance(value, str) for value in known.values()):
                raise TypeError("its names are not text")
            return cls(**known, args=tuple(row["args"]), kwargs=dict(row["kwargs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FactoryMissing(run, f"its record is damaged: {error}") from error

    def find(self) -> Any:  # whatever stands under that name
        """Return what the name leads to, not called yet. Raises NotPossible when there is no such thing."""
        found: Any = _load_file(Path(self.path)) if self.path else importlib.import_module(self.module)
        for part in self.name.split("."):
            if not hasattr(found, part):
                raise NotPossible(f"{self} does not exist", todo=did_you_mean(part, _names_in(found)))
            found = getattr(found, part)
        return found

    def build(self) -> Flow | Atom:
        """Return the flow, made anew. Raises NotPossible when there is no such thing, WrongType when it is no flow."""
        found = self.find()
        if callable(found) and not isinstance(found, Atom):
            found = found(*self.args, **self.kwargs)
        if not isinstance(found, Flow | Atom):
            raise WrongType(f"what {self} gives", found, "a flow or a task")
        return found

    def check_allowed(self, run: str, allow: Collection[str]) -> None:
        """Raise FactoryRefused unless ``allow`` names the file, the module or a package around it."""
        if self.path:
            allowed = any(Path(one).resolve() == Path(self.path) for one in allow if one.endswith(".py"))
        else:
            allowed = any(self.module == one or self.module.startswith(f"{one}.") for one in allow)
        if not allowed:
            raise FactoryRefused(run, str(self), self.path or self.module)


def factory_of_callable(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Factory:
    """Return the factory that a function is. Raises NotPossible when another process could not import it by name."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if module == "__main__":
        path = file_of(sys.modules["__main__"])
        if path is not None and "<" not in name:
            return factory_of_file(path, name, args=args, kwargs=kwargs)
    if not module or module == "__main__" or "<" in name:
        raise NotPossible(
            f"{function!r} cannot be imported by name", todo="define the factory at the top level of a module"
        )
    return Factory(name, module=module, args=tuple(args), kwargs=dict(kwargs))


def factory_of_file(path: Path, name: str, *, args: Sequence[Any] = (), kwargs: Mapping[str, Any]) -> Factory:
    """Return the factory that a name in a Python file is. Raises NotPossible when the file cannot be read."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise NotPossible(f"{path} cannot be read: {error.strerror}", todo="give FILE::FLOW") from error
    return Factory(name, path=str(path.resolve()), digest=digest, args=tuple(args), kwargs=dict(kwargs))


def has_changed(factory: Factory) -> bool:
    """Return whether the factory's file is not the one that was recorded."""
    return bool(factory.path) and hashlib.sha256(Path(factory.path).read_bytes()).hexdigest() != factory.digest


def _load_file(path: Path) -> ModuleType:
    """Return the module in a file, imported under its own name where that leads to it, its folder on the path."""
    main = sys.modules["__main__"]
    if file_of(main) == path:
        return main
    if not path.is_file():
        raise NotPossible(f"{path} does not exist", todo="give FILE.py::FLOW")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    if _leads_to(path):
        return importlib.import_module(path.stem)
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"  # hides no module of that name
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotPossible(f"{path} is not a Python file", todo="give FILE.py::FLOW")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _leads_to(path: Path) -> bool:
    """Return whether importing the file's stem gives this file, and not another module of that name."""
    if path.stem in sys.modules:
        return file_of(sys.modules[path.stem]) == path
    spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _names_in(found: object) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]


def _as_stored(value: object) -> object:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None
