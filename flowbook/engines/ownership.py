"""Holding a claim while an engine runs: renewed in the background, never by a listener or a task."""

from __future__ import annotations

import logging
import threading
import time

from flowbook.engines.inbox import Inbox, Lost
from flowbook.engines.options import DEFAULT_LEASE_S
from flowbook.engines.storage import Storage
from flowbook.exceptions import OwnershipLost, StorageError
from flowbook.persistence.owners import Owner

LOG = logging.getLogger("flowbook")

LOOK_EVERY_S = 1.0
"""How often the claim is renewed and posted requests are looked for (more often when a third of the lease is less)."""


def is_kept_here(run_id: str) -> bool:
    """Return whether a thread of this process renews a claim on a run of that id."""
    return any(thread.name == _thread_name(run_id) for thread in threading.enumerate())


def _thread_name(run_id: str) -> str:
    return f"flowbook-claim-{run_id}"


class Ownership:
    """The claim on one run, from `enter` to `leave`."""

    def __init__(self, storage: Storage, owner: Owner, inbox: Inbox, lease_s: float = DEFAULT_LEASE_S) -> None:
        self._storage = storage
        self._owner = owner
        self._inbox = inbox
        self._lease_s = lease_s
        self._left = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, *, take_over: bool = False) -> None:
        """Claim the run and keep the claim renewed. Raises FlowOwned."""
        storage = self._storage
        storage.claim = storage.backend.claim(storage.key, self._owner, lease_s=self._lease_s, take_over=take_over)
        thread = threading.Thread(target=self._keep, name=_thread_name(storage.run_id), daemon=True)
        thread.start()
        self._thread = thread

    def leave(self) -> None:
        """Stop renewing and give the claim up, also after half an entry.

        A claim that is lost or cannot be reached is left to its lease: it hides no error that came before.
        """
        self._left.set()
        try:
            if self._thread is not None:
                self._thread.join()
        finally:
            claim, self._storage.claim = self._storage.claim, None
            if claim is not None:
                try:
                    self._storage.backend.renew(claim, lease_s=0.0)
                except Exception as error:
                    LOG.warning("the claim on run %r could not be given up: %s", self._storage.run_id, error)

    def _keep(self) -> None:
        known: set[str] = set()
        wishes = {"suspend": self._inbox.wish_suspend, "cancel": self._inbox.wish_cancel}
        held_until = time.monotonic() + self._lease_s
        while not self._left.wait(min(LOOK_EVERY_S, self._lease_s / 3)):
            claim = self._storage.claim
            if claim is None:
                return
            asked_at = time.monotonic()
            try:
                requests = self._storage.backend.renew(claim, lease_s=self._lease_s)
            except OwnershipLost as error:
                self._inbox.put(Lost(error))
                return
            except StorageError as error:
                if time.monotonic() >= held_until:
                    self._inbox.put(Lost(error))
                    return
                LOG.warning("the claim on run %r could not be renewed: %s", self._storage.run_id, error)
                continue
            except Exception as error:  # whatever it is, the loop has to know that nobody renews any more
                self._inbox.put(Lost(error))
                return
            held_until = asked_at + self._lease_s
            for request in requests:
                wish = wishes.get(str(request.row.get("do")))
                if request.id not in known and wish is not None:
                    known.add(request.id)
                    wish(request.id)
