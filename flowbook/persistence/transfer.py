"""One run as a document: JSON lines that any backend can write, and any other backend take in.

The first line has the document's version and the run's id. Then comes a line a record, of every kind, in the order of
kinds and keys, what was appended under one key in its order; values are in their stored form, and nothing is decoded
or executed on the way. The last line counts the records and has the SHA-256 of all bytes before it.

Requests that wait and the claim stay where they are: a run that was imported belongs to nobody, and continues from
there like one whose owner has died.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from flowbook.exceptions import Damaged, EncodeError, NewerSchema, NotFound, NotPossible, UsageError
from flowbook.persistence import codec
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import MISSING, Append, Change, Inline, Put, Row, parse_row
from flowbook.persistence.owners import current_owner

FORMAT: Final = "flowbook.run"
VERSION: Final = 1

_LEASE_S: Final = 60.0
_REQUEST: Final = "request"

StoredRow = Callable[[str, Row], Row]
"""Return the row that stands for one of a kind with live objects in it, such as backends that write text keep it."""


class RunExists(UsageError):
    """The storage has a run of this id already."""

    code = "FB131"

    def __init__(self, run: str, url: str) -> None:
        self.run, self.url = run, url
        super().__init__(run, url)

    def __str__(self) -> str:
        return f"there is a run {self.run!r} already"

    @property
    def where(self) -> str:
        """Name the storage, secrets hidden."""
        return self.url

    @property
    def why(self) -> str:
        """Say what importing never does."""
        return "an import adds a run, and never writes over one"

    @property
    def todo(self) -> str:
        """Say how both can be kept."""
        return "import it under another id: --as ID (in code: import_run(..., run=ID))"


class DamagedDocument(Damaged):
    """The document of a run is cut off or was altered; nothing was imported."""

    code, says = "FB321", "the document of the run is damaged"

    @property
    def todo(self) -> str:
        """Say how to get a whole one."""
        return "export the run again, and copy the file whole"


class NewerDocument(NewerSchema):
    """The document of a run was written by a newer version of flowbook; nothing was imported."""

    code, says = "FB322", "the document was written by a newer version of flowbook"


def _as_it_is(kind: str, row: Row) -> Row:
    return row


def export_run(backend: Backend, run: str, *, stored: StoredRow = _as_it_is) -> Iterator[str]:
    """Yield the lines of the document of a run, ASCII with their line ends: one consistent snapshot, owned or not.

    ``stored`` is asked for each row of a backend that keeps live objects. The same records give the same bytes,
    whatever the backend. Raises NotFound, Damaged, and EncodeError for what has no stored form.
    """
    records = backend.load(run)
    digest = hashlib.sha256()
    count = 0
    for line in _lines(records, stored):
        digest.update(line.encode())
        count += 1
        yield line
    yield _dumped({"records": count - 1, "sha256": digest.hexdigest()})  # the first line is no record


def _lines(records: FlowRecords, stored: StoredRow) -> Iterator[str]:
    """Yield all lines but the last."""
    yield _dumped({"schema": f"{FORMAT}/{VERSION}", "run": records.flow})
    for kind, kept in sorted(records.rows.items()):
        if kind != _REQUEST:
            for key, row in sorted(kept.items()):
                yield _line(kind, key, "row", stored(kind, row))
    for kind, appended in sorted(records.appended.items()):
        for key, many in sorted(appended.items()):
            for one in many:
                yield _line(kind, key, "append", stored(kind, one))


def _line(kind: str, key: str, how: str, row: Row) -> str:
    plain = {name: _stored_value(value, f"{name} of {kind} {key!r}") for name, value in row.items()}
    try:
        return _dumped({"kind": kind, "key": key, how: plain})
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"{kind} {key!r}", str(error)) from error


def _stored_value(value: Any, what: str) -> Any:  # a row's field
    if not isinstance(value, Inline):
        return value
    if value.document is not MISSING:
        return value.document
    return json.loads(codec.encode(value.live, what=what) if value.text is None else value.text)


def _dumped(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


class Document(NamedTuple):
    """A document as read: whose it is, and the changes that write its records, in order."""

    run: str
    changes: tuple[Change, ...]


def import_run(backend: Backend, lines: Iterable[str], *, run: str | None = None, source: str = "the document") -> str:
    """Write the run of a document, under ``run`` or its own id, in one commit; return the id.

    Raises NotPossible when ``lines`` are no such document, DamagedDocument (naming ``source`` and the line) and
    NewerDocument, RunExists when the id is taken, and what `Backend.commit` raises; nothing was written then.
    """
    document = parse_document(lines, source=source)
    name = document.run if run is None else run
    _refuse_known(backend, name)
    claim = backend.claim(f"flow:{name}", current_owner(), lease_s=_LEASE_S)
    try:
        _refuse_known(backend, name)  # under the claim nobody else can begin it
        backend.commit(claim, [_renamed(change, document.run, name) for change in document.changes])
    finally:
        backend.renew(claim, lease_s=0.0)
    return name


def _refuse_known(backend: Backend, run: str) -> None:
    try:
        backend.load(run, ("flow",))
    except NotFound:
        return
    raise RunExists(run, backend.url)


def _renamed(change: Change, old: str, new: str) -> Change:
    """Return the change that writes the same about the run under its new id, which stands in its ``flow`` record."""
    if old == new or not isinstance(change, Put) or change.kind != "flow":
        return change
    return Put("flow", new, {**change.row, "id": new} if "id" in change.row else change.row)


def parse_document(lines: Iterable[str], *, source: str = "the document") -> Document:
    """Return what a document holds, after a look whether it is whole. Raises as `import_run`; writes nothing."""
    numbered = enumerate(lines, 1)
    digest = hashlib.sha256()
    first = next((line for _, line in numbered), "")
    run = _run_of(first, source)
    digest.update(first.encode())
    changes: list[Change] = []
    number = 1
    for number, line in numbered:
        found = _parsed(line, source, number)
        if "sha256" in found:
            _check_end(found, len(changes), digest.hexdigest(), source, number)
            _check_is_last(numbered, source)
            return Document(run, _with_flow(run, changes, source))
        changes.append(_change(found, source, number))
        digest.update(line.encode())
    raise DamagedDocument(_place(source, number), "it ends here, without the line that closes a document")


def _run_of(first: str, source: str) -> str:
    """Return whose document begins with this line. Raises NotPossible and NewerDocument."""
    header: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):
        header = parse_row(first)
    name, _, version = str(header.get("schema", "")).partition("/")
    run = header.get("run")
    if name != FORMAT or not (version.isascii() and version.isdecimal()):
        why = f"its first line is not that of a {FORMAT} document"
        raise NotPossible("this is no exported run", where=_place(source, 1), why=why, todo="give what export wrote")
    if int(version) > VERSION:
        why = f"it has version {version}, and {VERSION} is the newest that is known here"
        raise NewerDocument(_place(source, 1), why)
    if not isinstance(run, str) or not run:
        raise DamagedDocument(_place(source, 1), "it names no run")
    return run


def _parsed(line: str, source: str, number: int) -> dict[str, Any]:
    try:
        if not line.endswith("\n"):
            raise ValueError("it is cut off")
        return parse_row(line)
    except (ValueError, RecursionError) as error:
        raise DamagedDocument(_place(source, number), str(error)) from error


def _change(found: dict[str, Any], source: str, number: int) -> Change:
    match found:
        case {"kind": str(kind), "key": str(key), "row": dict(row)} if kind != _REQUEST and len(found) == 3:
            return Put(kind, key, row)
        case {"kind": str(kind), "key": str(key), "append": dict(row)} if len(found) == 3:
            return Append(kind, key, row)
        case _:
            raise DamagedDocument(_place(source, number), "this line is no record")


def _check_end(found: dict[str, Any], count: int, digest: str, source: str, number: int) -> None:
    if found.get("records") != count:
        raise DamagedDocument(_place(source, number), f"it has {count} records, and should have {found.get('records')}")
    if found["sha256"] != digest:
        raise DamagedDocument(_place(source, number), "a line above was altered: its checksum is another")


def _check_is_last(rest: Iterable[tuple[int, str]], source: str) -> None:
    for number, _ in rest:
        raise DamagedDocument(_place(source, number), "something follows the line that closes the document")


def _with_flow(run: str, changes: list[Change], source: str) -> tuple[Change, ...]:
    """Return the changes, among which there is the run's own record: without it no run would be there."""
    flows = [change for change in changes if change.kind == "flow"]
    if [(type(change), change.key) for change in flows] != [(Put, run)]:
        raise DamagedDocument(_place(source, 1), f"it does not hold the record of run {run!r}")
    return tuple(changes)


def _place(source: str, line: int) -> str:
    return f"{source}:{line}"
