"""A program's own classes in stored values: told by name, taken apart, put together, never imported.

A dataclass, Enum or NamedTuple is stored under ``module:QualName``. It is rebuilt only from a class that this
process already has, registered or in an imported module; its ``__init__`` is not called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum, Flag
from functools import cached_property, lru_cache, partial
from types import BuiltinFunctionType
from typing import Any, NamedTuple, cast

from flowbook.exceptions import DecodeError
from flowbook.main_module import lasting_name, module_called


class Shape(NamedTuple):
    """How one kind of class is taken apart, into plain data or parts by name, and put together again."""

    tag: str
    take_apart: Callable[[Any], object]
    put_together: Callable[[Any, Any], object]


_by_name: dict[str, type] = {}
_names: dict[type, str] = {}
_from_data: dict[str, Callable[[Any], object]] = {}


def remember(cls: type, name: str, from_data: Callable[[Any], object] | None) -> None:
    """Store ``cls`` under ``name`` from now on; older names go on being read."""
    _by_name[name] = cls
    _names[cls] = name
    if from_data is not None:
        _from_data[name] = from_data


def from_data_of(name: str) -> Callable[[Any], object]:
    """Return what was registered to make instances of stored data. Raises DecodeError when nothing was."""
    if name not in _from_data:
        raise DecodeError(name, "its type is not registered here")
    return _from_data[name]


def remembered(name: str) -> type | None:
    """Return the class that was registered under ``name``, or None."""
    return _by_name.get(name)


def home(cls: type) -> str:
    """Return ``module:QualName``, the same in a program, in the processes it spawned and in those that import it."""
    return f"{lasting_name(cls.__module__)}:{cls.__qualname__}"


def shown(cls: type) -> str:
    """Return the name of ``cls`` for people."""
    return home(cls).removeprefix("builtins:").replace(":", ".")


def shape_of(cls: type) -> Shape | None:
    """Return how ``cls`` is stored, or None when it is no dataclass, Enum or NamedTuple."""
    if issubclass(cls, Enum):
        return FLAG if issubclass(cls, Flag) else ENUM
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return NAMED_TUPLE
    return DATACLASS if is_dataclass(cls) else None


def name_to_store(cls: type) -> str:
    """Return the name that finds ``cls`` again. Raises ValueError when none would."""
    name = _names.get(cls)
    if name is None:
        name = home(cls)
        if _in_imported_modules(name) is not cls:
            raise ValueError(
                f"its class is not found as {name} (it is local, renamed or replaced), so it could not be "
                "rebuilt; define it at the top of a module, or register it"
            )
    return name


def find(name: str, shape: Shape) -> type:
    """Return the class stored under ``name``, if it is of this shape. Imports nothing; raises DecodeError."""
    cls = _by_name[name] if name in _by_name else _in_imported_modules(name)
    if cls is None:
        module, _, qualname = name.partition(":")
        if module_called(module) is not None:
            raise DecodeError(name, f"the module {module} has no class {qualname}")
        raise DecodeError(name, "its class is neither registered nor in a module that is imported")
    if shape_of(cls) is not shape:
        raise DecodeError(name, f"the class found is no {shape.tag}")
    return cls


def _in_imported_modules(name: str) -> type | None:
    """Return the class at home under ``name``; looks into dictionaries only, so that nothing loads lazily."""
    module, _, qualname = name.partition(":")
    found: object = module_called(module)
    for part in qualname.split("."):
        try:
            found = _dictionary(found).get(part)
        except AttributeError:
            return None
    if not _is_class(found):
        return None
    cls = cast(type, found)  # `_is_class` has seen it
    return cls if home(cls) == name else None


def _is_class(value: object) -> bool:
    """Say whether ``value`` is a class; `isinstance` would ask the value, and load a module that is lazy."""
    return issubclass(type(value), type)


def _dictionary(holder: object) -> Mapping[str, object]:
    """Return what a module or class holds; asks no hook of theirs. Raises AttributeError for others."""
    reads: Any = type if _is_class(holder) else object
    dictionary: Mapping[str, object] = reads.__getattribute__(holder, "__dict__")
    return dictionary


# -- enumerations: members by name ---------------------------------------------------------------------------


def _enum_data(member: Enum) -> str:
    if type(member).__members__.get(member._name_) is not member:
        raise ValueError(f"{type(member).__qualname__} has no such member")
    return member._name_


def _flag_data(flag: Flag) -> list[object]:
    """Return the names of the single bits that are set, and the number of those that have no name."""
    members = list(flag)
    unnamed = flag._value_ & ~sum(member._value_ for member in members)
    return [[member._name_ for member in members], unnamed]


def _flag(cls: type[Flag], data: list[Any]) -> Flag:
    names, bits = data
    if type(bits) is not int or bits < 0 or type(names) is not list:
        raise TypeError("a flag is a list of names, and a number for the bits that have none")
    for name in names:
        bits |= _member(cls, name)._value_
    flag = cls(bits)
    if type(flag) is not cls:
        raise DecodeError(home(cls), f"it does not keep the bits {bits:#x}")
    return flag


def _member(cls: type[Enum], name: object) -> Any:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name of a member")
    if name not in cls.__members__:
        raise DecodeError(home(cls), f"it has no member {name} any more")
    return cls.__members__[name]


# -- named tuples and dataclasses: parts by name -------------------------------------------------------------

_Parts = Mapping[str, Callable[[], object] | None]
"""The names of the parts, and what gives each of them when a record has none."""


def _named_tuple_data(value: Any) -> dict[str, object]:
    if getattr(value, "__dict__", None):
        raise ValueError(f"{', '.join(vars(value))} would be lost: an attribute, and no field")
    return dict(zip(type(value)._fields, value, strict=True))


def _named_tuple(cls: type, data: dict[str, object]) -> object:
    return tuple.__new__(cls, _complete(cls, _named_tuple_parts(cls), data).values())


@lru_cache(maxsize=512)
def _named_tuple_parts(cls: Any) -> _Parts:
    defaults = cls._field_defaults
    return {name: partial(defaults.__getitem__, name) if name in defaults else None for name in cls._fields}


def _dataclass_data(value: Any) -> dict[str, object]:
    cls: type = type(value)
    parts = _dataclass_parts(cls)
    extras = getattr(value, "__dict__", parts).keys() - parts.keys()
    lost = [name for name in extras if not _is_computed(cls, name)]
    if lost:
        raise ValueError(f"{', '.join(sorted(lost))} would be lost: an attribute, and no field")
    try:
        return {name: getattr(value, name) for name in parts}
    except AttributeError as error:
        raise ValueError(f"a field is not set: {error}") from None


def _is_computed(cls: type, name: str) -> bool:
    """Say whether the attribute comes by itself: cached, or told by a generic alias."""
    return name == "__orig_class__" or isinstance(getattr(cls, name, None), cached_property)


def _dataclass(cls: type, data: dict[str, object]) -> object:
    parts = _complete(cls, _dataclass_parts(cls), data)
    value: object = object.__new__(cls)
    for name, part in parts.items():
        object.__setattr__(value, name, part)
    return value


@lru_cache(maxsize=512)
def _dataclass_parts(cls: Any) -> _Parts:
    """Return the fields of ``cls``. Raises ValueError when its instances hold more than fields."""
    parts = {field.name: _default(field) for field in fields(cls)}
    for base in cls.__mro__[:-1]:
        if isinstance(vars(base).get("__new__"), BuiltinFunctionType):
            raise ValueError(f"{cls.__qualname__} is also a {base.__name__}, whose content would be lost")
        slots = vars(base).get("__slots__", ())
        lost = {slots} if isinstance(slots, str) else {*slots}
        if lost - parts.keys() - {"__dict__", "__weakref__"}:
            raise ValueError(f"{cls.__qualname__} has slots that are no fields, whose content would be lost")
    return parts


def _default(field: Field[Any]) -> Callable[[], object] | None:
    """Return what gives the field's default; a factory of the program's own is not called for a record."""
    if field.default is not MISSING:
        return partial(getattr, field, "default")
    factory: Any = field.default_factory
    return factory if factory in (list, dict, set, frozenset, tuple) else None


def _complete(cls: type, parts: _Parts, data: dict[str, object]) -> dict[str, object]:
    """Return ``data`` in the order of the class, with defaults for parts that are newer than the record."""
    gone = [name for name in data if name not in parts]
    if gone:
        raise DecodeError(home(cls), f"it has no field {', '.join(gone)} any more")
    return {name: data[name] if name in data else _newer(cls, name, give) for name, give in parts.items()}


def _newer(cls: type, name: str, give: Callable[[], object] | None) -> object:
    if give is None:
        raise DecodeError(home(cls), f"its field {name} is newer than the record, and has no plain default")
    return give()


ENUM = Shape("enum", _enum_data, _member)
FLAG = Shape("flag", _flag_data, _flag)
NAMED_TUPLE = Shape("namedtuple", _named_tuple_data, _named_tuple)
DATACLASS = Shape("dataclass", _dataclass_data, _dataclass)
SHAPES = (ENUM, FLAG, NAMED_TUPLE, DATACLASS)
