"""The ten verbs on plain files: a folder for each key, in it a journal for each epoch.

::

    runs/
      logbook.json                      says that this is a logbook, and in which format
      living                            living processes keep a byte of it locked
      flow/r1/epoch-000003.jsonl        the journal that counts, and what it goes on from
      flow/r1/request-….json            a posted request
      destroyed/000007                  the highest epoch of all that was destroyed: epochs never start again

A commit is one line, written behind the others and synced before it is acknowledged. No line is ever written over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from flowbook.clock import Clock, SystemClock, to_text
from flowbook.exceptions import Damaged, FlowOwned, NotPossible, OwnershipLost
from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, FlowSummary, Query, Request, Wanted
from flowbook.persistence.changes import Change, Put, Row
from flowbook.persistence.contents import Contents, change_text
from flowbook.persistence.directory.files import Files, LocalFiles, meaning_of
from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.inspecting import findings_in
from flowbook.persistence.directory.journal import Header
from flowbook.persistence.directory.names import LIVING, epoch_name
from flowbook.persistence.directory.pen import Pen, Pens
from flowbook.persistence.directory.reading import has_flow, not_found, records_of, summaries_in, undecoded_records_of
from flowbook.persistence.directory.root import Root
from flowbook.persistence.directory.waiting import forget_answered, post, request_ids
from flowbook.persistence.finding import chosen
from flowbook.persistence.inspection import Finding
from flowbook.persistence.options import Options
from flowbook.persistence.owners import LivenessFile, Owner, current_owner
from flowbook.persistence.texts import text_of

_VALUE_LIMIT_BYTES: Final = 256 * 1024 * 1024


class DirectoryBackend(Backend):
    """Keeps records in plain files below one directory (``dir:///var/lib/runs``, ``dir:runs``).

    Options: ``path`` instead of one in the URL; ``timeout_s`` bounds the wait for others who write under the same claim
    (10); ``value_limit_bytes`` bounds a value (256 MiB). ``transactions`` counts the commits that were written.
    """

    keeps_references = False

    def __init__(
        self, conf: str | Mapping[str, object], *, clock: Clock | None = None, files: Files | None = None
    ) -> None:
        options = Options(conf)
        self.path = path_of(options)
        self.url = options.url if options.address.partition(":")[2] else f"dir:{self.path}"
        self.value_limit_bytes = options.size("value_limit_bytes", default=_VALUE_LIMIT_BYTES)
        self.transactions = 0
        self._timeout_s = options.seconds("timeout_s", default=10.0)
        options.refuse_others()
        self._clock = clock or SystemClock()
        self._files = files or LocalFiles()
        self._root = Root(self.path, self.url, self._files)
        self._living = LivenessFile(f"{self.path}/{LIVING}")
        self._pens = Pens(self._root, self._timeout_s)
        self._counting = threading.Lock()

    def open(self) -> None:
        """Make the directory if there is none; the one it lies in must exist."""
        with self._translated(), self._root.writing():
            pass

    def close(self) -> None:
        """Close the journals of this process, and let go of its byte of the lock file."""
        with self._translated():
            self._pens.close()
            self._living.release()

    def upgrade(self) -> None:
        """Do nothing but `open`: there is no older format."""
        self.open()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise our error for the operating system's."""
        try:
            yield
        except OSError as error:
            raise meaning_of(error, self.url) from error

    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Return the summaries of the flows that match, newest first; what cannot be read is ``DAMAGED``."""
        with self._translated(), self._root.reading() as root:
            return [] if root is None else chosen(summaries_in(self._root, root, query), query)

    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return the newest committed records of a flow."""
        with self._translated():
            return records_of(self._root, flow, kinds)

    def look(self, flow: str, kinds: Sequence[str] | None = None, wanted: Wanted | None = None) -> FlowRecords:
        """Return the same; of a run that has been summed up each row is decoded when it is asked for."""
        with self._translated():
            return undecoded_records_of(self._root, flow, kinds)

    def inspect(self) -> Iterator[Finding]:
        """Yield what the files tell of their health: reads all of them, and changes nothing."""
        with self._translated():
            yield from findings_in(self._root)

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Return a claim with a raised epoch: who first gives its journal a name has it."""
        with self._translated(), self._root.writing() as root:
            self._alive(root).hold()
            while True:
                pen = self._try_claim(root, key, owner, lease_s, take_over=take_over)
                if pen is not None:
                    self._pens.keep(key, pen)
                    return Claim(key, pen.epoch, 0)

    def _try_claim(self, root: int, key: str, owner: Owner, lease_s: float, *, take_over: bool) -> Pen | None:
        """Return the open journal of a new epoch; None when somebody else was quicker."""
        try:
            folder = self._root.folder(root, key, create=True)
        except FileNotFoundError:  # destroyed right after it was made
            return None
        try:
            epochs = folder.epochs()
            if not take_over:
                self._refuse_if_owned(root, folder, key, epochs, claimant=owner)
            epoch = self._begin(root, folder, key, epochs, owner, lease_s)
            if epoch is not None and self._root.is_at_its_name(root, key, folder):
                return Pen(folder, epoch, self._timeout_s)
        except FileNotFoundError:  # the run was destroyed meanwhile
            pass
        except BaseException:
            self._files.close(folder.descriptor)
            raise
        self._files.close(folder.descriptor)
        return None

    def _begin(
        self, root: int, folder: Folder, key: str, epochs: Sequence[int], owner: Owner, lease_s: float
    ) -> int | None:
        """Return the epoch of a new journal, next to those that were seen; None when somebody else took its number."""
        if not epochs:
            self._root.sync_way(root, key)
        base, is_final = folder.measured(epochs)  # damage is found before anything is made
        epoch = (epochs[0] if epochs else self._root.height(root)) + 1
        now = self._clock.now()
        header = Header(key, epoch, owner, now, now + lease_s)
        if not folder.publish(epoch_name(epoch), [header.document()]):
            return None
        if folder.epochs()[:1] != [epoch]:
            return None  # others came and went meanwhile, and cleared the number away that they had used
        if not is_final:
            base, _ = folder.measured(epochs)  # from here on nobody adds to it that is acknowledged
        folder.go_on_from(base, epoch)
        forget_answered(folder)
        return epoch

    def _refuse_if_owned(
        self, root: int, folder: Folder, key: str, epochs: Sequence[int], claimant: Owner | None
    ) -> None:
        """Raise FlowOwned when a living owner other than ``claimant`` has the newest journal."""
        for epoch in epochs[:1]:
            header = folder.header(epoch)
            owner = header.owner
            if owner is None or owner == claimant:
                return
            alive = owner == current_owner() or self._alive(root).is_alive(owner)
            now, until = self._clock.now(), folder.journal(epoch)[0].lease_until
            if alive or (alive is None and until > now):
                raise FlowOwned(key, str(owner), to_text(header.since), max(0.0, until - now))

    def _alive(self, root: int) -> LivenessFile:
        self._root.see_to_living(root)
        return self._living

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Append all ``changes`` as one line to the claim's journal, and sync it."""
        texts = [change_text(change, self.value_limit_bytes) for change in changes]
        try:
            self._pens.use(claim, lambda pen: pen.commit(claim, fence, changes, texts))
        except OSError as error:
            raise meaning_of(error, self.url) from error
        with self._counting:
            self.transactions += 1
        return Claim(claim.key, claim.epoch, claim.seq + 1) if fence is Fence.SEQ else claim

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Prolong the claim and return the requests that wait, oldest first.

        A lease of 0 gives it up: all records are summed up in a journal that nobody owns, and older ones are removed.
        """
        now = self._clock.now()
        with self._translated():
            if lease_s > 0:
                waiting = self._pens.use(claim, lambda pen: pen.prolong(claim, now + lease_s, lease_s))
            else:
                try:
                    waiting = self._pens.use(claim, lambda pen: pen.give_up(claim, now))
                except OwnershipLost:
                    self._pens.drop(claim)
                    return []
                self._pens.drop(claim)
        return [Request(request, row) for request, row in waiting.items()]

    def post(self, key: str, request: Row) -> None:
        """Leave a request for the owner of ``key``, in a file of its own."""
        text = text_of(Put("request", key, request), self.value_limit_bytes)
        with self._translated(), self._root.writing() as root, self._root.key(root, key, create=True) as folder:
            if not folder.epochs():
                self._root.sync_way(root, key)
            while not post(folder, int(self._clock.now() * 1e6), text):
                pass

    def destroy(self, flow: str) -> None:
        """Forget a flow and all its records, readable or not, but not the height of its epoch.

        A journal without owner and without records says so at once and durably; then the files are removed.
        """
        key = f"flow:{flow}"
        with self._translated(), self._root.writing() as root:
            try:
                with self._root.key(root, key) as folder:
                    if not has_flow(folder):
                        raise not_found(self._root, root, flow)
                    epoch = None
                    while epoch is None:
                        epoch = self._try_destroy(root, folder, key)
                    self._root.remove(root, key, folder, epoch)
            except FileNotFoundError:
                raise not_found(self._root, root, flow) from None

    def _try_destroy(self, root: int, folder: Folder, key: str) -> int | None:
        """Return the epoch of a journal without records; None when somebody else took its number."""
        epochs = folder.epochs()
        with suppress(Damaged):  # who owned it cannot be told any more
            self._refuse_if_owned(root, folder, key, epochs, claimant=None)
        epoch, now = (epochs[0] if epochs else 0) + 1, self._clock.now()
        nothing = Contents()
        nothing.answered.update(request_ids(folder))
        is_ours = folder.snapshot(Header(key, epoch, None, now, now), nothing)
        return epoch if is_ours and folder.epochs()[:1] == [epoch] else None  # as in `_begin`


def path_of(options: Options) -> str:
    """Return the absolute path that a URL or the option ``path`` names.

    ``dir:///var/lib/runs`` is absolute, as in URLs of files; ``dir:runs`` is relative. Raises NotPossible.
    """
    _, _, rest = options.address.partition(":")
    path = options.text("path", default=rest.removeprefix("//"))
    if rest.startswith("//") and rest[2:3] not in ("", "/"):
        todo = f"for a directory here: dir:{rest[2:]}; an absolute path has three slashes: dir:///var/lib/runs"
        raise NotPossible(f"{options.url!r} names a host", where=options.url, todo=todo)
    if not path.strip("/") or "\0" in path:
        todo = "give dir:runs, or dir:///var/lib/runs for an absolute path"
        raise NotPossible("this names no directory", where=options.url, todo=todo)
    return os.path.abspath(path)
