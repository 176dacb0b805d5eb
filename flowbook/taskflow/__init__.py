"""TaskFlow's public names over flowbook's engine: import from here, or call `install` and import ``taskflow``."""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from flowbook.exceptions import InvalidState

__all__ = ["install"]

_THEIRS = "taskflow"


def install() -> None:
    """Let ``import taskflow…`` give the modules of this package. Raises InvalidState when it is another one already."""
    imported = sys.modules.get(_THEIRS)
    if imported is not None and imported is not sys.modules[__name__]:
        where = getattr(imported, "__file__", None) or "a place without a file"
        raise InvalidState("answer for 'import taskflow'", f"another taskflow is imported already, from {where}")
    if not any(isinstance(finder, _Alias) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Alias())


class _Alias(MetaPathFinder, Loader):
    """Finds modules of ``taskflow`` among those of this package; for one that is not here it finds nothing."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _THEIRS:
            return None
        ours = importlib.util.find_spec(_ours(fullname))
        return ours and ModuleSpec(fullname, self, is_package=ours.submodule_search_locations is not None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ours(spec.name))
        spec.loader_state = module.__spec__  # which the import replaces next
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state  # it has run under its own


def _ours(fullname: str) -> str:
    return __name__ + fullname.removeprefix(_THEIRS)
