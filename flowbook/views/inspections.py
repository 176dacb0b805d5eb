"""Whether all is well: the storage, the runs in it, those who claim them, the clock, and what is installed.

Looking changes nothing: no storage is made or upgraded, and no claim is touched.
"""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from flowbook.exceptions import Damaged, FlowbookError, NotFound, StorageError
from flowbook.persistence.backend import Backend, FlowSummary, Query
from flowbook.persistence.inspection import Inspectable, Level, Versioned
from flowbook.persistence.owners import lives_by_pid
from flowbook.plugins import Plugin, installed_plugins
from flowbook.states import FINISHED
from flowbook.views.details import read_run
from flowbook.views.housekeeping import allowance
from flowbook.views.runs import DAMAGED, GROUP
from flowbook.views.schemas import DOCTOR, PLUGINS

ABOUT_STORAGE: Final = frozenset({"storage", "schema", "runs", "claims", "clock"})
"""The areas of checks that are about a storage; those of others are about what is installed."""

_SHOWN: Final = 20
_CLOCKS_MAY_DIFFER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its area, how bad it is, what was found and where, and what mends it."""

    area: str
    level: Level
    what: str
    where: str = ""
    fix: str = ""


def inspect(backend: Backend) -> Iterator[Check]:
    """Yield what is found, the good too: about the storage first, then about what is installed."""
    yield from inspect_storage(backend)
    yield from inspect_installation()


def doctor_document(backend: Backend, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the document of what was found."""
    healthy = all(check.level is not Level.FAIL for check in checks)
    return DOCTOR.document([asdict(check) for check in checks], backend=backend.url, healthy=healthy)


def plugins_document(plugins: Iterable[Plugin]) -> dict[str, Any]:
    """Return the document of what installed packages add to flowbook."""
    return PLUGINS.document([asdict(plugin) for plugin in plugins])


def inspect_storage(backend: Backend) -> Iterator[Check]:
    """Yield what is found about a storage. Raises UsageError when its URL makes no sense; other errors are findings."""
    schema = list(_guarded("schema", _schema(backend), backend.url))
    yield from schema
    told = {check.what for check in schema}  # what cannot be reached says so whatever it is asked
    yield from (one for one in _guarded("storage", _own_findings(backend), backend.url) if one.what not in told)
    if all(check.level is Level.OK for check in schema):
        yield from _guarded("storage", _records(backend), backend.url)


def _guarded(area: str, checks: Iterator[Check], url: str) -> Iterator[Check]:
    """Yield the checks, and a storage error that ends them as the last of them."""
    try:
        yield from checks
    except StorageError as error:
        fix = _todo(error) or f"flowbook explain {error.code}"
        yield Check(area, Level.FAIL, _told(error), error.where or url, fix)


def _told(error: FlowbookError) -> str:
    return f"{error}: {error.why}" if error.why else str(error)


def _todo(error: FlowbookError) -> str:
    """Return what an error says to do; damage says that it is to be looked for, which is done here."""
    return "" if type(error) is Damaged else error.todo


def _own_findings(backend: Backend) -> Iterator[Check]:
    if isinstance(backend, Inspectable):
        for finding in backend.inspect():
            yield Check("storage", finding.level, finding.what, finding.where, finding.fix)


def _records(backend: Backend) -> Iterator[Check]:
    runs = [run for run in backend.find(Query()) if not run.flow.startswith(GROUP)]
    yield Check("storage", Level.OK, "it can be read", backend.url)
    yield from _runs(backend, runs)
    yield from _claims(backend, runs)
    yield _clock(runs, backend.url)


def _schema(backend: Backend) -> Iterator[Check]:
    if not isinstance(backend, Versioned):
        return
    versions = backend.schema_versions()
    if versions.found is None:
        fix = "if this is the storage that you mean, nothing is wrong: the first run makes it"
        yield Check("schema", Level.WARN, "there is no storage here yet", backend.url, fix)
    elif versions.is_newest:
        yield Check("schema", Level.OK, f"version {versions.found} is the newest", backend.url)
    else:
        what = f"version {versions.found or 'none'} is older than {versions.newest}; its runs were not looked at"
        yield Check("schema", Level.WARN, what, backend.url, "flowbook backend upgrade")


def _runs(backend: Backend, runs: Sequence[FlowSummary]) -> Iterator[Check]:
    """Read every record of every run."""
    damaged = 0
    for summary in runs:
        try:
            read_run(backend, summary.flow)
        except NotFound:  # it was deleted meanwhile
            continue
        except FlowbookError as error:
            damaged += 1
            if damaged <= _SHOWN:
                yield _damaged(error, summary)
    if damaged > _SHOWN:
        yield Check("runs", Level.FAIL, f"{damaged - _SHOWN} more runs cannot be read", backend.url, "see those above")
    if not damaged:
        yield Check("runs", Level.OK, f"runs read: {len(runs)}; all their records make sense", backend.url)


def _damaged(error: FlowbookError, run: FlowSummary) -> Check:
    prune = "flowbook prune --state damaged" if run.state == DAMAGED else "let flowbook prune delete this run in time"
    fix = f"other runs are not touched; restore a copy of the storage, or {prune}"
    return Check("runs", Level.FAIL, _told(error), f"run {run.flow}", _todo(error) or fix)


def _claims(backend: Backend, runs: Sequence[FlowSummary]) -> Iterator[Check]:
    """Say which runs are claimed by somebody who is gone."""
    claimed = [run for run in runs if run.owner is not None]
    stale = [run for run in claimed if run.owner is not None and lives_by_pid(run.owner) is False]
    for run in stale[:_SHOWN]:
        fix = "none is needed: the next to claim it gets it" if run.state in FINISHED else _resume(backend, run.flow)
        what = f"claimed by {run.owner}, a process that is gone"
        yield Check("claims", Level.WARN, what, f"run {run.flow}", fix)
    if len(stale) > _SHOWN:
        yield Check("claims", Level.WARN, f"{len(stale) - _SHOWN} more claims of processes that are gone")
    if not stale:
        yield Check("claims", Level.OK, f"runs claimed: {len(claimed)}; no owner is known to be gone")


def _resume(backend: Backend, run: str) -> str:
    """Return the command that continues a run, or what to do where nothing recorded builds its flow."""
    try:
        allowed = allowance(backend, run)
    except FlowbookError:
        return "see above what is wrong with its records"
    if allowed is None:
        return f"run the program that began it again, with the run id {run!r}"
    return shlex.join(["flowbook", "resume", run, "--allow", allowed])


def _clock(runs: Sequence[FlowSummary], url: str) -> Check:
    """Say whether anything was written in the future: by this machine's clock or by another's, one is wrong."""
    now = time.time()
    newest = max(runs, key=_newest_time, default=None)
    ahead_s = 0.0 if newest is None else _newest_time(newest) - now
    if newest is None or ahead_s <= _CLOCKS_MAY_DIFFER_S:
        return Check("clock", Level.OK, "nothing was written in the future", url)
    what = f"run {newest.flow} was written {ahead_s:.0f} s in the future: this clock is wrong, or its writer's"
    return Check("clock", Level.WARN, what, url, "let NTP set the clocks of all machines that use this storage")


def _newest_time(run: FlowSummary) -> float:
    return max(run.created_at, run.updated_at, run.owned_since or 0.0)


def inspect_installation() -> Iterator[Check]:
    """Yield what is found about plug-ins and versions."""
    broken = [plugin for plugin in installed_plugins() if plugin.error or plugin.needs]
    yield from map(_broken, broken)
    if not any(_broken(plugin).level is Level.FAIL for plugin in broken):
        yield Check("plugins", Level.OK, "all that are needed can be loaded")
    yield Check("versions", Level.OK, f"flowbook {metadata.version('flowbook')}, Python {platform.python_version()}")
    yield Check("versions", Level.OK, ", ".join(_versions()))


def _broken(plugin: Plugin) -> Check:
    """Say what is wrong with a plug-in; one whose extra was not asked for is no failure."""
    what = f"{plugin.group} {plugin.name} cannot be loaded: {plugin.error}"
    where = f"{plugin.package} {plugin.version}"
    if plugin.needs:
        return Check("plugins", Level.OK, f"{plugin.name} is not installed", where, f"if you want it: {plugin.needs}")
    return Check("plugins", Level.FAIL, what, where, f"install what {plugin.package} needs, or uninstall it")


def _versions() -> Iterator[str]:
    for requirement in metadata.requires("flowbook") or ():
        if "extra ==" not in requirement:
            name = requirement.split(">")[0].split("<")[0].split("=")[0].split("[")[0].strip(" ;")
            yield f"{name} {_version(name)}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
