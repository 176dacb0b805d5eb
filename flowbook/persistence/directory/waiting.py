"""The requests that wait for the owner of a key: each is a file of its own in the key's folder."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from flowbook.persistence.changes import Row
from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.lines import framed
from flowbook.persistence.directory.names import request_name, request_of


def request_ids(folder: Folder) -> list[str]:
    """Return the ids of all requests that are there, the oldest first."""
    return sorted(filter(None, map(request_of, folder.files.names(folder.descriptor))))


def requests_in(folder: Folder, answered: Iterable[str] = ()) -> dict[str, Row]:
    """Return the requests that wait, oldest first; one that is being written is not there yet."""
    gone = set(answered)
    found: dict[str, Row] = {}
    for request in request_ids(folder):
        name = request_name(request)
        if request in gone:
            continue
        with suppress(FileNotFoundError):  # answered meanwhile
            for line in folder.reader.lines(folder.data(name), name):
                found[request] = folder.reader.request(line, name)
    return found


def forget_requests(folder: Folder, answered: Iterable[str]) -> bool:
    """Remove requests that a journal says are answered; return whether there were any. The folder is not synced."""
    names = [name for name in map(request_name, answered) if request_of(name) is not None]
    for name in names:
        with suppress(FileNotFoundError):
            folder.files.remove(folder.descriptor, name)
    return bool(names)


def forget_answered(folder: Folder) -> None:
    """Remove requests that outlived their answer: their owner died, or the disk, before they were removed."""
    if request_ids(folder):
        contents, _ = folder.read()
        forget_requests(folder, contents.answered)


def post(folder: Folder, number: int, text: str) -> bool:
    """Leave a request, behind those that wait, under ``number`` or a higher one; return whether that was free."""
    number = max(number, *(int(request) + 1 for request in request_ids(folder)), 0)
    try:
        file = folder.files.create(folder.descriptor, request_name(f"{number:020}"))
    except FileExistsError:
        return False
    try:
        folder.files.write(file, framed(f'{{"request":{text}}}', 0)[0], 0)
        folder.files.sync(file)
    finally:
        folder.files.close(file)
    folder.files.sync(folder.descriptor)
    return True
