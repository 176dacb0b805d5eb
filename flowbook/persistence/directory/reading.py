"""What a directory holds, for those who only read: nothing is made, locked or written."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from flowbook.exceptions import Damaged, NewerSchema, NotFound
from flowbook.persistence.backend import FlowRecords, FlowSummary, Query
from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.journal import LAST_TIME, Header
from flowbook.persistence.directory.looking import texts_in
from flowbook.persistence.directory.names import folder_names, quoted, unquoted
from flowbook.persistence.directory.root import Root
from flowbook.persistence.directory.summing import newest_flow_record
from flowbook.persistence.directory.waiting import requests_in
from flowbook.persistence.finding import DAMAGED
from flowbook.persistence.undecoded import Undecoded, UndecodedLists

FLOWS: Final = "flow"
"""The folder of the keys ``flow:…``."""

_NOT_ITS_OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that would meet any other folder as well."""

_Read = Callable[[Folder], tuple[Mapping[str, Any], Mapping[str, Any]]]

_NEAR_NAMES: Final = 100
_READ_AGAIN: Final = 100


def records_of(root: Root, flow: str, kinds: Sequence[str] | None) -> FlowRecords:
    """Return the records of a flow, of these kinds or of all. Raises NotFound and Damaged."""
    is_alone = kinds is not None and set(kinds) == {"flow"}
    return _records_by(_alone if is_alone else _all, root, flow, kinds)


def undecoded_records_of(root: Root, flow: str, kinds: Sequence[str] | None) -> FlowRecords:
    """Return the same, each row to be decoded when it is asked for, where the run has been summed up."""
    return _records_by(_undecoded, root, flow, kinds)


def _records_by(read: _Read, root: Root, flow: str, kinds: Sequence[str] | None) -> FlowRecords:
    with root.reading() as directory:
        if directory is None:
            raise NotFound("run", flow)
        try:
            with root.key(directory, f"flow:{flow}") as folder:
                rows, appended = read(folder)
        except FileNotFoundError:
            raise not_found(root, directory, flow) from None
        if not rows.get("flow"):
            raise not_found(root, directory, flow)
    return FlowRecords(flow, _only(rows, kinds), _only(appended, kinds))


def _all(folder: Folder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows and the appended rows of all kinds."""
    contents, _ = folder.read()
    waiting = requests_in(folder, contents.answered)
    rows: dict[str, Any] = contents.rows
    if waiting:
        rows["request"] = {request: dict(row) for request, row in waiting.items()}
    return rows, contents.appended


def _undecoded(folder: Folder) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the same as `_all`, undecoded in a run that has been summed up."""
    try:
        found = texts_in(folder)
    except FileNotFoundError:  # it has been summed up anew
        found = None
    if found is None:
        return _all(folder)
    base, rows, appended = found
    where = folder.where
    kept: dict[str, Any] = {kind: Undecoded(texts, where, kind) for kind, texts in rows.items()}
    if waiting := requests_in(folder, base.answered):
        kept["request"] = waiting
    return kept, {kind: UndecodedLists(texts, where, kind) for kind, texts in appended.items()}


def _alone(folder: Folder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the ``flow`` record, the ends of the journals read alone."""
    for _ in range(_READ_AGAIN):
        with suppress(FileNotFoundError):  # its journals were summed up meanwhile
            found = newest_flow_record(folder)
            return {} if found is None else {"flow": {found[1]: found[2]}}, {}
    return _all(folder)


def has_flow(folder: Folder) -> bool:
    """Return whether there is a ``flow`` record, or something that cannot be read."""
    try:
        return bool(_alone(folder)[0])
    except (Damaged, NewerSchema):
        return True


def _only(records: Mapping[str, Any], kinds: Sequence[str] | None) -> Mapping[str, Any]:
    return records if kinds is None else {kind: of_kind for kind, of_kind in records.items() if kind in kinds}


def not_found(root: Root, directory: int, flow: str) -> NotFound:
    """Return the error that names the flow, and those that are there."""
    known: list[str] = []
    with suppress(FileNotFoundError), root.kind(directory, FLOWS) as flows:
        known = [text for text in map(unquoted, root.files.names(flows)[:_NEAR_NAMES]) if text is not None]
    return NotFound("run", flow, [name for name in known if name != flow])


def summaries_in(root: Root, directory: int, query: Query) -> Iterator[FlowSummary]:
    """Yield the summaries of the flows whose ids may match; of a damaged one only that it is."""
    try:
        with root.kind(directory, FLOWS) as flows:
            only = None if query.flow is None else quoted(query.flow)
            for name in root.files.names(flows) if only is None else [only]:
                flow = unquoted(name)
                if flow is None or flow.startswith(query.prefix):
                    found = _summary(root, flows, name, flow)
                    if found is not None:
                        yield found
    except FileNotFoundError:
        return


def _summary(root: Root, flows: int, name: str, flow: str | None) -> FlowSummary | None:
    """Return the summary of the flow in a folder; None when there is none, any more or yet."""
    damaged = FlowSummary(name if flow is None else flow, "", "", DAMAGED, 0.0, 0.0, 0)
    for _ in range(_READ_AGAIN):
        try:
            descriptor = root.files.folder(flows, name)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None if flow is None else damaged
        try:
            folder = Folder(root.files, descriptor, f"{root.path}/{FLOWS}/{name}", _key(flow))
            found = newest_flow_record(folder)
            return None if found is None else _summary_of(found[0], found[2], name) or damaged
        except FileNotFoundError:
            continue  # its journals were summed up meanwhile
        except (Damaged, NewerSchema):
            break
        except OSError as error:
            if error.errno in _NOT_ITS_OWN:
                raise
            break
        finally:
            root.files.close(descriptor)
    return damaged


def _key(flow: str | None) -> str | None:
    return None if flow is None else f"flow:{flow}"


def _summary_of(header: Header, row: Mapping[str, Any], folder: str) -> FlowSummary | None:
    """Return the summary that a ``flow`` record gives; None when it gives none, or lies in another's folder."""
    book, name, state = (row.get(field, "") for field in ("book", "name", "state"))
    created_at, updated_at = (row.get(field, 0.0) for field in ("created_at", "updated_at"))
    atoms = row.get("atoms", 0)
    is_readable = (
        all(isinstance(word, str) for word in (book, name, state))
        and all(type(time) in (int, float) and 0 <= time <= LAST_TIME for time in (created_at, updated_at))
        and type(atoms) is int
    )
    if not is_readable or folder_names(header.key) != (FLOWS, folder):
        return None
    since = None if header.owner is None else header.since
    flow = header.key.partition(":")[2]
    return FlowSummary(flow, book, name, state, created_at, updated_at, atoms, header.owner, since)
