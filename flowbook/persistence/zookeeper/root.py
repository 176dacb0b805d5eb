"""The znode that a logbook lies below: what says that it is one, and what all its keys share."""

from __future__ import annotations

import json
from typing import Final

from kazoo.exceptions import NoNodeError

from flowbook.exceptions import Damaged, NewerSchema, NotALogbook, StorageBusy
from flowbook.persistence.zookeeper.asking import Op, children, create, get, refusal_in, set_data
from flowbook.persistence.zookeeper.connection import Connection, ReplyLost
from flowbook.persistence.zookeeper.head import FORMAT, Head
from flowbook.persistence.zookeeper.names import FLOWS, KEYS
from flowbook.persistence.zookeeper.space import Space, is_there

_DESTROYED: Final = "destroyed"
_CLOCK: Final = "clock"
_MARK: Final = json.dumps({"logbook": "zookeeper", "format": FORMAT}).encode()
_TRIES: Final = 100


class Root:
    """What lies at the path of the logbook."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.path = connection.address.root
        self._marked_by = 0  # the client that found or left the mark

    def open(self) -> None:
        """Connect, and make the logbook if there is none. Raises NotALogbook, NewerSchema and Damaged."""
        if self._marked_by and self._marked_by == self.connection.made:
            return
        if not self.is_there():
            self._make()
        self._marked_by = self.connection.made

    def is_there(self) -> bool:
        """Return whether there is a logbook; a znode with nothing in it may become one.

        Raises NotALogbook, NewerSchema and Damaged.
        """
        found, below = self.connection.ask([get(self.path), children(self.path)])
        if isinstance(found, NoNodeError) or isinstance(below, NoNodeError):
            return False
        url = self.connection.address.url
        if not found[0]:
            if below:
                raise NotALogbook(url, f"there is {sorted(below)[0]!r} below {self.path}, and no mark of flowbook's")
            return False
        try:
            mark = json.loads(found[0])
        except (ValueError, RecursionError) as error:
            raise NotALogbook(url, f"{self.path} holds something else") from error
        if not isinstance(mark, dict) or mark.get("logbook") != "zookeeper":
            raise NotALogbook(url, f"{self.path} holds something else")
        form = mark.get("format")
        if type(form) is int and form > FORMAT:
            raise NewerSchema(url, f"its format is {form}, this version knows {FORMAT}")
        if form != FORMAT:
            raise Damaged(url, f"{self.path} does not say which format this is")
        return True

    def _make(self) -> None:
        """Say that this is a logbook, and make what all keys share."""
        parts = self.path[1:].split("/")
        ways = ["/" + "/".join(parts[:count]) for count in range(1, len(parts))]
        self.connection.ask([create(way, b"") for way in ways])
        self.connection.ask([create(self.path, _MARK)])
        if not self.is_there():
            self.connection.ask([set_data(self.path, _MARK, 0)])
        shared = [_DESTROYED, _CLOCK, KEYS, f"{KEYS}/{FLOWS}"]
        self.connection.ask([create(f"{self.path}/{name}", b"") for name in shared])

    def flows(self) -> list[str]:
        """Return the names of the znodes of all flows."""
        (names,) = self.connection.ask([children(f"{self.path}/{KEYS}/{FLOWS}")])
        return [] if isinstance(names, NoNodeError) else list(names)

    def now(self) -> float:
        """Return what time it is for ZooKeeper, in seconds since the epoch: the clock of its leader."""
        clock = f"{self.path}/{_CLOCK}"
        for _ in range(_TRIES):
            (stat,) = self.connection.ask([set_data(clock, b"")])
            if not isinstance(stat, Exception):
                return float(stat.mtime / 1000.0)
            self.connection.ask([create(clock, b"")])
        raise self._busy()

    # -- what was destroyed --

    def _height(self) -> tuple[int, int]:
        """Return the highest epoch of all that was destroyed, and the version of the znode that says so."""
        path = f"{self.path}/{_DESTROYED}"
        for _ in range(_TRIES):
            (found,) = self.connection.ask([get(path)])
            if not isinstance(found, Exception):
                data, stat = found
                if data and not data.isdigit():
                    raise Damaged(f"zookeeper://{self.connection.address.hosts}{path}", "it holds no number")
                return int(data or b"0"), stat.version
            self.connection.ask([create(path, b"")])
        raise self._busy()

    def make_head(self, space: Space) -> None:
        """Make the head of a key, if there is none: its epoch is that of the highest that was destroyed."""
        kind = space.path.rpartition("/")[0]
        for _ in range(_TRIES):
            height, version = self._height()
            data = Head(space.key, height).data(space.place)
            made = self._tried([Op.check(f"{self.path}/{_DESTROYED}", version), Op.create(space.path, data)])
            if made or is_there(self.connection.ask([get(space.path)])[0]):
                return
            self.connection.ask([create(kind, b"")])
        raise self._busy()

    def forget_head(self, space: Space, epoch: int, version: int) -> None:
        """Delete the head of a key that has nothing behind it, and remember its epoch.

        Nothing happens when somebody has claimed it again, or left a request.
        """
        destroyed = f"{self.path}/{_DESTROYED}"
        for _ in range(_TRIES):
            found = space.head()
            if found is None or found[1] != version:
                return
            height, seen = self._height()
            new = b"%d" % max(height, epoch)
            if self._tried([Op.delete(space.path, version), Op.set_data(destroyed, new, seen)]):
                return
            space.empty()

    def _tried(self, ops: list[Op]) -> bool:
        """Return whether ``ops`` are known to be done."""
        try:
            return refusal_in(self.connection.multi(ops, self.connection.deadline())) is None
        except ReplyLost:
            return False

    def _busy(self) -> StorageBusy:
        return StorageBusy(self.connection.address.url, f"others change {self.path} all the time")
