"""Books, flow details and atom details, made from records."""

from __future__ import annotations

import pytest

from flowbook.exceptions import NotFound
from flowbook.persistence import FlowDetail, FlowRecords, LogBook
from flowbook.testing.backend_samples import FLOW_ROW

ATTEMPTS = [{"n": 1, "outcome": "FAILURE"}, {"n": 2, "outcome": "SUCCESS"}]


def detail(flow: str = "f") -> FlowDetail:
    atom = {"state": "SUCCESS", "attempt": 2, "result": {"!tuple": [1]}, "started_at": 5.0}
    rows = {"flow": {flow: {**FLOW_ROW, "factory": "m:f"}}, "atom": {"a": atom, "b": {}}}
    return FlowDetail.from_records(FlowRecords(flow, rows, {"attempt": {"a": ATTEMPTS}}))


def test_a_flow_detail_says_what_the_flow_record_says() -> None:
    found = detail()
    assert (found.id, found.book, found.name, found.state) == ("f", "default", "orders", "RUNNING")
    assert found.row["factory"] == "m:f"


def test_an_atom_detail_has_its_stored_result_and_all_attempts() -> None:
    found = detail().find("a")
    assert (found.state, found.attempt, found.result) == ("SUCCESS", 2, {"!tuple": [1]})
    assert list(found.attempts) == ATTEMPTS
    assert found.more == {"started_at": 5.0}


def test_an_empty_atom_record_is_pending() -> None:
    found = detail().find("b")
    assert (found.state, found.attempt, found.attempts, found.result) == ("PENDING", 0, (), None)


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        FlowDetail.from_records(FlowRecords("f", {}))
    with pytest.raises(NotFound):
        detail().find("c")
    with pytest.raises(NotFound):
        LogBook.of("default", [detail()]).find("g")


def test_a_book_holds_its_own_flows() -> None:
    book = LogBook.of("default", [detail("f"), detail("g")])
    assert set(book.flows) == {"f", "g"}
    assert book.find("g").id == "g"
    assert LogBook.of("other", [detail()]).flows == {}
