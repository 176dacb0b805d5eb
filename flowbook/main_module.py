"""The module that a program was started as, under one name however it was started.

The same file is ``__main__`` when it is run and ``orders`` when another program imports it. What the logbook holds has
to mean the same to both: names of tasks and of classes use the name that the file has when it is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

_MAIN: Final = frozenset({"__main__", "__mp_main__"})


def lasting_name(module: str) -> str:
    """Return the name of a module; of the main one, its name when it is imported (``orders`` of ``orders.py``).

    A program that is typed in or piped has no such name, and stays ``__main__``.
    """
    return _main_name() if module in _MAIN else module


def module_called(name: str) -> ModuleType | None:
    """Return the module of a lasting name if this process has it, the main one first; nothing is imported."""
    main = sys.modules.get("__main__")
    return main if main is not None and name == _main_name() else sys.modules.get(name)


def file_of(module: ModuleType | None) -> Path | None:
    """Return the resolved path of the file that a module comes from, or None."""
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


def _main_name() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = file_of(main)
    return "__main__" if file is None else file.stem
