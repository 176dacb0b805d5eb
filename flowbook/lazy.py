"""What a package offers, imported when it is first used: a shell that completes a word needs little of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def offering(
    package: str, homes: Mapping[str, Collection[str]], packages: Collection[str] = ()
) -> Callable[[str], Any]:  # whatever the names stand for
    """Return the ``__getattr__`` of a package (PEP 562): it offers names by their modules, and packages of its own."""
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in packages:
            return import_module(f"{package}.{name}")
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
