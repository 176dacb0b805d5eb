"""How a directory is doing: whether every journal is whole, who may read it, and what was left behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.directory.files import meaning_of
from flowbook.persistence.directory.folder import NEW, Folder
from flowbook.persistence.directory.names import epoch_of
from flowbook.persistence.directory.reading import FLOWS
from flowbook.persistence.directory.root import Root
from flowbook.persistence.directory.waiting import requests_in
from flowbook.persistence.inspection import Finding, Level

_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SHOWN: Final = 5


def findings_in(root: Root) -> Iterator[Finding]:
    """Yield what is to be said of a directory; nothing when there is none."""
    with root.reading() as directory:
        if directory is None:
            return
        yield from _modes(Path(root.path))
        yield from _journals(root, directory)


def _modes(root: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & _OF_OTHERS:
        fix = f"if it is for you alone: chmod 700 {root}"
        yield Finding(Level.WARN, f"others on this machine may use it: mode {mode:04o}", str(root), fix)
    else:
        yield Finding(Level.OK, "nobody else on this machine may read it", str(root))
    if not os.access(root, os.W_OK):
        fix = f"chmod u+w {root}, or change its owner"
        yield Finding(Level.FAIL, "the directory cannot be written", str(root), fix)


def _journals(root: Root, directory: int) -> Iterator[Finding]:
    """Yield what is wrong with the journals of each run, or that nothing is."""
    runs, bad = 0, 0
    try:
        with root.kind(directory, FLOWS) as flows:
            for name in sorted(root.files.names(flows)):
                runs += 1
                for finding in _of_run(root, flows, name):
                    bad += finding.level is Level.FAIL
                    yield finding
    except FileNotFoundError:
        pass
    if not bad:
        yield Finding(Level.OK, f"every line of the journals of {runs} runs fits its checksum", root.path)


def _of_run(root: Root, flows: int, name: str) -> Iterator[Finding]:
    where = f"{root.path}/{FLOWS}/{name}"
    try:
        descriptor = root.files.folder(flows, name)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        yield Finding(Level.WARN, "this is no run", where, "see what it is, and move it away")
        return
    try:
        yield from _of_folder(Folder(root.files, descriptor, where, None))
    finally:
        root.files.close(descriptor)


def _of_folder(folder: Folder) -> Iterator[Finding]:
    fix = "restore a copy of this folder, or move it away: other runs do not need it"
    try:
        requests_in(folder, folder.read()[0].answered)
    except (Damaged, NewerSchema) as error:
        yield Finding(Level.FAIL, f"{error}: {error.why}", error.where, fix)
    except OSError as error:
        meaning = meaning_of(error, f"{folder.where}/{error.filename or ''}")
        yield Finding(Level.FAIL, f"{meaning}: {meaning.why}", meaning.where, fix)
    names = folder.files.names(folder.descriptor)
    strange = [name for name in names if name.endswith(NEW)]
    strange += [name for name in names if epoch_of(name) is None and not name.startswith("request-")]
    for name in sorted(set(strange))[:_SHOWN]:
        what = "a process died before it finished this file" if name.endswith(NEW) else "this is no file of a run"
        yield Finding(Level.WARN, what, f"{folder.where}/{name}", "remove it when no process works on this run")
