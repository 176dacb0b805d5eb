"""Whether a document fits its schema: as much of JSON Schema as the schemas of flowbook use, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {
    "$schema", "title", "type", "format", "minimum", "const", "enum", "anyOf",
    "items", "properties", "required", "additionalProperties",
}  # fmt: skip


def check(document: Any, schema: Mapping[str, Any]) -> None:
    """Fail unless the document fits."""
    assert list(misfits(document, schema)) == []


def misfits(value: Any, schema: Mapping[str, Any], place: str = "$") -> Iterator[str]:
    """Yield what does not fit, and where."""
    assert schema.keys() <= KNOWN, f"what is {schema.keys() - KNOWN} at {place}?"
    if "anyOf" in schema and all(any(misfits(value, one, place)) for one in schema["anyOf"]):
        yield f"{place}: {value!r} is none of what it may be"
    if "const" in schema and value != schema["const"]:
        yield f"{place}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is not one of {schema['enum']!r}"
    if "type" in schema and not _is_a(value, schema["type"]):
        yield f"{place}: {value!r} is no {schema['type']}"
    elif value is not None:
        yield from _misfits_inside(value, schema, place)


def _is_a(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _misfits_inside(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{place}: {value!r} is less than {schema['minimum']}"
    if schema.get("format") == "date-time" and not (value.endswith("Z") and datetime.fromisoformat(value)):
        yield f"{place}: {value!r} is no time in UTC"
    for number, item in enumerate(value if "items" in schema else ()):
        yield from misfits(item, schema["items"], f"{place}[{number}]")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name} is missing"
    fields = schema.get("properties", {})
    for name, item in value.items() if isinstance(value, dict) else ():
        yield from misfits(item, fields.get(name, schema.get("additionalProperties", {})), f"{place}.{name}")
