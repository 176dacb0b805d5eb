"""How reading verbs print: their own table, or a document as JSON, JSON lines or CSV, with all fields or a choice."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Final, TypeVar

import click

from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, print_table, within_limit
from flowbook.exceptions import did_you_mean
from flowbook.views.schemas import DocumentSchema

FORMATS: Final = ("table", "json", "jsonl", "csv")

Row = Mapping[str, Any]  # a row of a document: JSON
Texts = Mapping[str, Callable[[Any], str]]
"""How the values of some fields are told in a table."""

_Command = TypeVar("_Command", bound=Callable[..., Any])  # a function that becomes a command


class UnknownField(click.BadParameter):
    """``--fields`` names a field that the rows do not have."""

    why = "the rows have no such field"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no field {name!r}", click.get_current_context(silent=True), param_hint="--fields")
        near = did_you_mean(name, known)
        self.hint = f"{near + ' ' if near else ''}the fields are {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class Output:
    """What the user wants printed: in which format, and which fields of the rows (none named: all)."""

    schema: DocumentSchema
    how: str = "table"
    fields: Sequence[str] = field(default=())

    @property
    def is_own(self) -> bool:
        """Whether the verb prints as it likes: a table, of no fields in particular."""
        return self.how == "table" and not self.fields

    def of(self, schema: DocumentSchema) -> Output:
        """Return the same for another document. Raises UnknownField when its rows have not these fields."""
        return replace(self, schema=schema, fields=_chosen(",".join(self.fields) or None, tuple(schema.row)))

    def write(self, document: Mapping[str, Any], texts: Texts | None = None) -> None:
        """Print a document in the format that was asked for; ``texts`` tell some fields of a table."""
        match self.how:
            case "json":
                write(self._json(document))
            case "jsonl":
                for row in self._rows(document):
                    write(_dumped({"schema": self.schema.row_name, **self._repeated(document), **row}))
            case "csv":
                write(_csv_text(self._names(), self._rows(document)), nl=False)
            case _:
                _print_rows(self._names(), within_limit(list(self._rows(document))), texts or {})

    def _names(self) -> Sequence[str]:
        return self.fields or tuple(self.schema.row)

    def _rows(self, document: Mapping[str, Any]) -> Iterator[Row]:
        rows = document[self.schema.rows] if self.schema.rows else [document]
        names = self._names()
        return ({name: row.get(name) for name in names} for row in rows)

    def _repeated(self, document: Mapping[str, Any]) -> Row:
        return {name: document[source] for name, source in self.schema.told_by_rows.items()}

    def _json(self, document: Mapping[str, Any]) -> str:
        """Return the document as text: a field a line, and a row a line, which reads well and takes little time."""
        rows, chosen = self.schema.rows, self._rows(document) if self.fields else None
        if not rows:
            return _dumped({"schema": self.schema.name, **next(chosen)} if chosen else document, indent=2)
        fields = {name: value for name, value in document.items() if name != rows}
        head = _dumped(fields, indent=2).removesuffix("\n}")
        lines = "".join(f"\n    {_dumped(row)}," for row in chosen or document[rows]).removesuffix(",")
        end = "\n  ]\n}" if lines else "]\n}"
        return f'{head},\n  "{rows}": [{lines}{end}'


def output_options(*schemas: DocumentSchema) -> Callable[[_Command], _Command]:
    """Add ``--json``, ``--output`` and ``--fields`` to a verb, which is given them as ``output``, an `Output`.

    A verb that prints one of several documents says by `Output.of` which one it is.
    """
    known = tuple(dict.fromkeys(name for schema in schemas for name in schema.row))
    there_are = "; ".join(", ".join(schema.row) for schema in schemas)

    def decorate(function: _Command) -> _Command:
        @click.option("--json", "as_json", is_flag=True, help="Print a JSON document with a version: --output json.")
        @click.option(
            "--output",
            "how",
            type=click.Choice(FORMATS, case_sensitive=False),
            help="How to print: a table (default), one JSON document, JSON lines, or CSV.",
        )
        @click.option("--fields", metavar="A,B", help=f"Print these fields of each row. There are: {there_are}.")
        @wraps(function)
        def with_output(*args: Any, as_json: bool, how: str | None, fields: str | None, **more: Any) -> Any:
            output = Output(schemas[0], _format(how, as_json=as_json), _chosen(fields, known))
            return function(*args, output=output, **more)

        return with_output  # type: ignore[return-value]  # `wraps` keeps what a command is made of

    return decorate


def _format(how: str | None, *, as_json: bool) -> str:
    if as_json and how not in (None, "json"):
        context = click.get_current_context(silent=True)
        raise click.UsageError(f"--json and --output {how} cannot be had at once", context)
    return "json" if as_json else how or "table"


def _chosen(fields: str | None, known: Sequence[str]) -> tuple[str, ...]:
    if fields is None:
        return ()
    chosen = tuple(filter(None, map(str.strip, fields.split(","))))
    for name in chosen or (fields,):
        if name not in known:
            raise UnknownField(name, known)
    return chosen


_encode: Final = json.JSONEncoder(ensure_ascii=False).encode
"""Does what `json.dumps` does, which makes an encoder for each of a hundred thousand rows."""


def _dumped(value: object, indent: int | None = None) -> str:
    """Return a value as JSON that stdout can take; what it cannot write is escaped."""
    text = _encode(value) if indent is None else json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isascii():
        return text
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def _csv_text(names: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_told(row[name]) for name in names] for row in rows)
    return text.getvalue()


def _told(value: Any) -> str:  # JSON
    """Return a value as text: nothing for null, a text as it is, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_rows(names: Sequence[str], rows: Sequence[Row], texts: Texts) -> None:
    columns = [
        Column(
            name,
            right=bool(rows) and all(isinstance(row[name], int | float | None) for row in rows),
            least=12 if at else None,
            styles=STATE_STYLES if name == "state" else {},
        )
        for at, name in enumerate(names)
    ]
    told = {name: texts.get(name, _told) for name in names}
    print_table([Grid(columns, [[told[name](row[name]) for name in names] for row in rows])])
