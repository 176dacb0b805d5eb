"""Connections that keep logbooks in a native backend: a flow detail is the run of its uuid, a logbook never runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final
from weakref import finalize

from flowbook.clock import SystemClock, to_text
from flowbook.engines.options import DEFAULT_LEASE_S
from flowbook.exceptions import FlowbookError, FlowOwned, NotFound
from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, Query
from flowbook.persistence.changes import Change
from flowbook.persistence.owners import current_owner
from flowbook.states import FlowState
from flowbook.taskflow import exceptions
from flowbook.taskflow.persistence import base, rows
from flowbook.taskflow.persistence.models import AtomDetail, FlowDetail, LogBook
from flowbook.views.runs import GROUP

_PLACES_MAX: Final = 100_000
_writing = threading.RLock()  # claims of one process do not keep its threads apart
_now = SystemClock().now


@contextmanager
def translated() -> Iterator[None]:
    """Raise TaskFlow's error for a native one, which is its cause."""
    try:
        yield
    except NotFound as error:
        raise exceptions.NotFound(str(error), error) from error
    except (FlowbookError, OSError) as error:
        raise exceptions.StorageFailure(f"the storage cannot do this: {error}", error) from error


class Connection(base.Connection):
    """Reads and writes logbooks; writing raises StorageFailure while an engine elsewhere runs the flow."""

    def __init__(self, backend: AdaptedBackend) -> None:
        self.backend, self._native = backend, backend.native

    def close(self) -> None:
        """Do nothing."""

    @translated()
    def upgrade(self) -> None:
        """Make the storage ready, with the newest schema."""
        self._native.upgrade()

    @translated()
    def validate(self) -> None:
        """Raise StorageFailure unless the storage can be used."""
        self._native.open()

    def clear_all(self) -> None:
        """Forget all logbooks and what they contain; runs that are in no logbook stay."""
        for book in self.get_logbooks(lazy=True):
            self.destroy_logbook(book.uuid)

    @translated()
    def update_atom_details(self, atom_detail: AtomDetail) -> AtomDetail:
        """Write an atom detail that is kept already, and return it."""
        place = self.backend.place_of(atom_detail.uuid)
        make = partial(rows.changes_of_atom, atom_detail, place, self.backend.values)
        self.backend.write(place.flow, make, is_blind=True)
        return atom_detail

    @translated()
    def update_flow_details(self, flow_detail: FlowDetail) -> FlowDetail:
        """Write a flow detail that is kept already, and those atom details that it has; return it."""
        self._save_flow(flow_detail)
        return flow_detail

    @translated()
    def save_logbook(self, book: LogBook) -> LogBook:
        """Write a logbook and all it contains, and return it; what is kept and not in ``book`` stays."""
        for flow in book:
            with suppress(FlowOwned):  # what an engine elsewhere has written is newer
                self._save_flow(flow, book)

        def make(*, at: float, known: FlowRecords) -> list[Change]:
            flows = [*(rows.detail_of(known).meta["flows"] if known.rows else ()), *(flow.uuid for flow in book)]
            kept = {"flows": [*dict.fromkeys(flows)], "times": (book.created_at, book.updated_at), "meta": book.meta}
            group = FlowDetail(book.name, known.flow, state=FlowState.SUCCESS.value, meta=kept)
            return rows.changes_of(group, self.backend.values, at=at, known=known)

        self.backend.write(GROUP + book.uuid, make, may_be_new=True)  # the last: it names no flow that is not there
        return book

    @translated()
    def destroy_logbook(self, book_uuid: str) -> None:
        """Forget a logbook and all it contains."""
        with _writing:
            for flow in self.get_flow_details(GROUP + book_uuid).meta["flows"]:
                with suppress(NotFound):
                    self._native.destroy(flow)
            self._native.destroy(GROUP + book_uuid)

    @translated()
    def get_logbooks(self, lazy: bool = False) -> Iterator[LogBook]:
        """Return all logbooks, the newest first, read one by one."""
        return (self.get_logbook(one.flow.removeprefix(GROUP), lazy) for one in self._native.find(Query(prefix=GROUP)))

    @translated()
    def get_logbook(self, book_uuid: str, lazy: bool = False) -> LogBook:
        """Return a logbook, without flow details when ``lazy``."""
        group = self.get_flow_details(GROUP + book_uuid)  # in whose metadata `save_logbook` has put all
        book = LogBook(group.name, book_uuid, meta=group.meta["meta"])
        for flow in [] if lazy else group.meta["flows"]:
            book.add(self.get_flow_details(flow))
        book.created_at, book.updated_at = group.meta["times"]
        return book

    @translated()
    def get_flows_for_book(self, book_uuid: str, lazy: bool = False) -> list[FlowDetail]:
        """Return the flow details of a logbook, without atom details when ``lazy``."""
        return [self.get_flow_details(flow, lazy) for flow in self.get_flow_details(GROUP + book_uuid).meta["flows"]]

    @translated()
    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> FlowDetail:
        """Return a flow detail, without atom details when ``lazy``."""
        known = self._native.load(fd_uuid, rows.KINDS)
        self.backend.remember(rows.places_of(known))
        return rows.detail_of(known, lazy=lazy)

    @translated()
    def get_atom_details(self, ad_uuid: str) -> AtomDetail:
        """Return an atom detail."""
        atom = self.get_flow_details(self.backend.place_of(ad_uuid).flow).find(ad_uuid)
        if atom is None:
            raise NotFound("atom detail", ad_uuid)
        return atom

    def get_atoms_for_flow(self, fd_uuid: str) -> list[AtomDetail]:
        """Return the atom details of a flow, in the order in which they were added."""
        return list(self.get_flow_details(fd_uuid))

    def _save_flow(self, flow: FlowDetail, book: LogBook | None = None) -> None:
        """Write a flow detail, which may be new in its logbook when that is given."""

        def make(*, at: float, known: FlowRecords) -> list[Change]:
            self.backend.remember(rows.places_of(known, flow))
            return rows.changes_of(flow, self.backend.values, at=at, known=known, book=book)

        self.backend.write(flow.uuid, make, may_be_new=book is not None)


class AdaptedBackend(base.Backend):
    """Keeps all in the ``native`` backend; engines keep their newest claims in ``claims``, by uuid of their flow."""

    def __init__(self, conf: base.Conf | None, native: Backend) -> None:
        super().__init__(conf)
        self.path: str | None = self._conf.get("path")
        self.native, self.values = native, rows.Values(native)
        self.claims: dict[str, Claim] = {}
        self._places: dict[str, rows.Place] = {}
        finalize(self, native.close)  # when nobody has this any more

    def get_connection(self) -> Connection:
        """Return a connection, to be closed by the caller."""
        return Connection(self)

    @translated()
    def close(self) -> None:
        """Close the native backend, which opens again when it is used."""
        self.native.close()

    def write(
        self, run: str, make: Callable[..., list[Change]], *, may_be_new: bool = False, is_blind: bool = False
    ) -> None:
        """Write what ``make`` returns for the time ``at`` and the records that are ``known`` of a run.

        While an engine of ours runs it, that is only what no engine writes (`rows.OWN_KINDS`), under its claim, and
        made for no records if ``is_blind``. Raises FlowOwned while another engine does, NotFound unless ``may_be_new``.
        """
        with _writing:
            claim = self.claims.get(run)
            if claim is not None:
                known = FlowRecords(run, {}) if is_blind else self._known(run)
                own = [change for change in make(at=_now(), known=known) if change.kind in rows.OWN_KINDS]
                self.native.commit(claim, own, fence=Fence.EPOCH)
                return
            found = [each for each in self.native.find(Query(prefix=run)) if each.flow == run]
            if not found and not may_be_new:
                raise NotFound("flow detail", run)
            if found and found[0].owner == current_owner():  # claiming it would take it from its engine
                raise FlowOwned(f"flow:{run}", str(found[0].owner), to_text(found[0].owned_since or _now()))
            claim = self.native.claim(f"flow:{run}", current_owner(), lease_s=DEFAULT_LEASE_S)
            try:
                self.native.commit(claim, make(at=_now(), known=self._known(run)))
            finally:
                self.native.renew(claim, lease_s=0)

    def _known(self, run: str) -> FlowRecords:
        with suppress(NotFound):
            return self.native.load(run, rows.KINDS)
        return FlowRecords(run, {})

    def remember(self, places: Mapping[str, rows.Place]) -> None:
        """Note where atoms are: they are asked for by nothing but their uuid."""
        if len(self._places) > _PLACES_MAX:
            self._places = {}
        self._places.update(places)

    def place_of(self, atom_uuid: str) -> rows.Place:
        """Return where an atom is, if need be after a look into all flows, the newest first. Raises NotFound."""
        places: Mapping[str, rows.Place] = self._places
        for flow in () if atom_uuid in places else self.native.find(Query()):
            with suppress(NotFound):  # destroyed meanwhile
                places = rows.places_of(self.native.load(flow.flow, ("atom", "detail")))
            if atom_uuid in places:
                self.remember(places)
                break
        if atom_uuid not in places:
            raise NotFound("atom detail", atom_uuid)
        return places[atom_uuid]
