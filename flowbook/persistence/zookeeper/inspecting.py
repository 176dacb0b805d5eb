"""How a logbook in ZooKeeper is doing: whether every znode of it fits its checksum, and who may change it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.inspection import Finding, Level
from flowbook.persistence.zookeeper.asking import acls
from flowbook.persistence.zookeeper.names import FLOWS, KEYS, unquoted
from flowbook.persistence.zookeeper.records import read
from flowbook.persistence.zookeeper.root import Root
from flowbook.persistence.zookeeper.space import Space

_ANYBODY: Final = "world"


def findings_in(root: Root, where: str) -> Iterator[Finding]:
    """Yield what is to be said of a logbook; nothing when there is none. ``where`` names it."""
    if not root.is_there():
        return
    yield from _permissions(root, where)
    runs, bad = 0, 0
    for name in sorted(root.flows()):
        runs += 1
        for finding in _of_flow(root, name):
            bad += finding.level is Level.FAIL
            yield finding
    if not bad:
        yield Finding(Level.OK, f"every znode of {runs} runs fits its checksum", where)


def _permissions(root: Root, where: str) -> Iterator[Finding]:
    ((entries, _),) = root.connection.ask([acls(root.path)])
    if any(entry.id.scheme == _ANYBODY and entry.acl_list != ["READ"] for entry in entries):
        fix = "begin another logbook with the options sasl_user and sasl_password, and move the runs there"
        yield Finding(Level.WARN, "whoever reaches these servers may change it", where, fix)
    else:
        yield Finding(Level.OK, "only those who prove who they are may change it", where)


def _of_flow(root: Root, name: str) -> Iterator[Finding]:
    flow = unquoted(name)
    if flow is None:
        where = f"{root.path}/{KEYS}/{FLOWS}/{name}"
        yield Finding(Level.WARN, "this is no run", where, "see what it is, and delete it")
        return
    space = Space(root.connection, f"flow:{flow}")
    try:
        read(space)
        space.waiting()
    except (Damaged, NewerSchema) as error:
        fix = "restore the data of the servers, or destroy this run: other runs do not need it"
        yield Finding(Level.FAIL, f"{error}: {error.why}", error.where, fix)
