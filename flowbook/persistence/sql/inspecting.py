"""How a database is doing: its schema, and of SQLite what its files tell, and its own check."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine.interfaces import DBAPICursor

from flowbook.clock import Clock
from flowbook.exceptions import NewerSchema, NotALogbook
from flowbook.persistence.backend import FlowSummary, Query
from flowbook.persistence.finding import DAMAGED
from flowbook.persistence.inspection import Finding, Inspectable, Level, SchemaVersions
from flowbook.persistence.sql.database import Database, revision_seen_by
from flowbook.persistence.sql.names import unquoted
from flowbook.persistence.sql.queries import UNREADABLE, finding, summary_of
from flowbook.persistence.sql.schema import script_of_upgrade
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.sql.tables import OF_ONE_CLAIM, REVISIONS

_BESIDE: Final = ("-wal", "-shm", "-journal", ".lock")
"""The ends of the names of files that belong to a SQLite database."""

_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SHOWN: Final = 5
_CLOCKS_MAY_DIFFER_S: Final = 5.0

_ORPHANS: Final = """
SELECT claim FROM records WHERE claim NOT IN (SELECT claim FROM flows) UNION
SELECT claim FROM appended WHERE claim NOT IN (SELECT claim FROM flows) UNION
SELECT claim FROM flows WHERE claim NOT IN (SELECT claim FROM records WHERE kind = 'flow')
"""


class OfDatabase:
    """What a backend on a `Database` tells of it; reads only."""

    _database: Database
    _statements: Statements
    _clock: Clock

    def schema_versions(self) -> SchemaVersions:
        """Return the revision of the database, and the newest that is known here; nothing is upgraded."""
        return SchemaVersions(self._database.look(partial(revision_seen_by, self._database)), REVISIONS[-1])

    def upgrade_script(self) -> str:
        """Return the SQL that upgrading would run; nothing when there is nothing to do."""
        versions = self.schema_versions()
        return "" if versions.found == versions.newest else script_of_upgrade(self._database.dialect, versions.found)

    def inspect(self) -> Iterator[Finding]:
        """Yield what this kind of database tells of its health, and of a server whether its clock goes as ours."""
        if isinstance(self._database, Inspectable):
            yield from self._database.inspect()
        now, runs = self._database.look(self._now_and_runs) or (None, ())
        if now is not None:
            yield _of_clocks(now - self._clock.now(), self._database.url)
        yield from _of_runs(runs)

    def _now_and_runs(self, cursor: DBAPICursor) -> tuple[float | None, Sequence[FlowSummary]]:
        now = self._database.now(cursor)
        with suppress(NewerSchema, NotALogbook):  # which looking at the schema tells
            if revision_seen_by(self._database, cursor) == REVISIONS[-1]:
                cursor.execute(*self._statements.once(finding(Query())))
                return now, [summary_of(row, self._database.url) for row in cursor.fetchall()]
        return now, ()


def _of_runs(runs: Iterable[FlowSummary]) -> Iterator[Finding]:
    """Yield which runs cannot be told in a list, and of which it cannot be told who has claimed them."""
    for run in runs:
        if run.state == DAMAGED:
            fix = "resuming it mends this, unless its records are damaged too: then restore a copy"
            yield Finding(Level.FAIL, "its row in the list of runs is damaged", f"run {run.flow}", fix)
        elif run.owner == UNREADABLE:
            fix = f"see that nobody works on it, then: flowbook resume {shlex.quote(run.flow)} --take-over"
            yield Finding(Level.FAIL, "who has claimed it cannot be read", f"run {run.flow}", fix)


def _of_clocks(ahead_s: float, url: str) -> Finding:
    if abs(ahead_s) <= _CLOCKS_MAY_DIFFER_S:
        return Finding(Level.OK, "its clock goes as that of this machine", url)
    what = f"its clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} that of this machine"
    return Finding(Level.WARN, what, url, "let NTP set both clocks")


def of_files(path: str) -> Iterator[Finding]:
    """Yield what is to be said of a database's file, of those beside it, and of its directory."""
    files = [Path(path), *(Path(path + end) for end in _BESIDE)]
    there = [file for file in files if file.exists()]
    if Path(path) not in there:
        for file in there:
            fix = f"see that no program uses it, then: rm {file}"
            yield Finding(Level.WARN, "this file belongs to a database that is gone", str(file), fix)
        return
    open_to_others = [file for file in there if file.stat().st_mode & _OF_OTHERS]
    for file in open_to_others:
        mode = stat.S_IMODE(file.stat().st_mode)
        fix = f"if it is for you alone: chmod 600 {file}"
        yield Finding(Level.WARN, f"others on this machine may use it: mode {mode:04o}", str(file), fix)
    if not open_to_others:
        yield Finding(Level.OK, "nobody else on this machine may read it", path)
    if not os.access(path, os.W_OK):
        yield Finding(Level.FAIL, "the file cannot be written", path, f"chmod u+w {path}, or change its owner")
    yield from _of_directory(Path(path).parent)


def _of_directory(directory: Path) -> Iterator[Finding]:
    mode = directory.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        what = "anybody on this machine may replace the files in its directory"
        yield Finding(Level.WARN, what, str(directory), f"chmod o-w {directory}")
    if not os.access(directory, os.W_OK):
        fix = f"chmod u+w {directory}: SQLite makes files beside the database"
        yield Finding(Level.FAIL, "its directory cannot be written", str(directory), fix)


def of_content(cursor: Any, path: str) -> Iterator[Finding]:  # a cursor of sqlite3
    """Yield what SQLite's own check tells, and which records belong to no run."""
    wrong = [str(text) for (text,) in cursor.execute("PRAGMA integrity_check(20)").fetchall() if text != "ok"]
    for text in wrong[:_SHOWN]:
        fix = f"restore a copy, or save what can be read: sqlite3 {path} .recover | sqlite3 saved.db"
        yield Finding(Level.FAIL, f"the database is damaged: {text}", path, fix)
    if wrong:
        return
    yield Finding(Level.OK, "SQLite finds it sound", path)
    tables = {str(name) for (name,) in cursor.execute("SELECT name FROM sqlite_master").fetchall()}
    if not tables >= {table.name for table in OF_ONE_CLAIM}:
        return  # it is older than these tables, or another program's
    claims = [unquoted(str(claim)) for (claim,) in cursor.execute(_ORPHANS).fetchall()]
    if claims:
        shown = ", ".join(claims[:_SHOWN]) + (", ..." if len(claims) > _SHOWN else "")
        fix = "restore a copy: something other than flowbook wrote to this file"
        yield Finding(Level.FAIL, f"{len(claims)} runs have lost a part of their records: {shown}", path, fix)
