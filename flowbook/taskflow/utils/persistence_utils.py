"""TaskFlow's ``utils.persistence_utils``: making logbooks and flow details, and keeping them at once."""

from collections.abc import Mapping
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from flowbook.taskflow.persistence.base import Backend
from flowbook.taskflow.persistence.models import FlowDetail, LogBook

Meta = Mapping[str, Any] | None


def temporary_log_book(backend: Backend | None = None) -> LogBook:
    """Return a new logbook, kept where there is a backend."""
    return _kept(LogBook("tmp"), backend)


def temporary_flow_detail(backend: Backend | None = None, meta: Meta = None) -> tuple[LogBook, FlowDetail]:
    """Return a new logbook and the only flow detail in it, kept where there is a backend."""
    book = LogBook("tmp")
    return book, create_flow_detail(SimpleNamespace(name="tmp-flow-detail"), book, backend, meta)


def create_flow_detail(
    flow: Any, book: LogBook | None = None, backend: Backend | None = None, meta: Meta = None
) -> FlowDetail:
    """Return a new flow detail with the name of ``flow``, in ``book`` or a new one, kept where there is a backend."""
    uuid = str(uuid4())
    flow_detail = FlowDetail(getattr(flow, "name", None) or uuid, uuid, meta=dict(meta or {}))
    book = LogBook("tmp") if book is None else book
    book.add(flow_detail)
    _kept(book, backend)
    return flow_detail


def _kept(book: LogBook, backend: Backend | None) -> LogBook:
    if backend is not None:
        with closing(backend.get_connection()) as connection:
            connection.save_logbook(book)
    return book
