"""The part of the suite of backends about those who look: what they see is of one state, whatever happens meanwhile.

A backend may read all at once, and ask nobody what is wanted: then nothing happens meanwhile.
"""

# ruff: noqa: D102 - names of tests are sentences

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from flowbook.exceptions import NotFound
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.testing.backend_records import HOSTILE_NAMES
from flowbook.testing.backend_samples import begin, decoded


class Writing:
    """Writes to a flow each time that somebody looks at it; ``states`` are all that there were."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._claim = backend, begin(backend)
        self.states: list[FlowRecords] = []
        self.write()

    def write(self) -> None:
        """Commit a change of two atoms and of what was appended to them."""
        row = {"n": len(self.states)}
        changes: list[Change] = [Put("atom", "a", row), Append("try", "a", row)]
        self._claim = self._backend.commit(self._claim, [*changes, Delete("try", "b"), Append("try", "b", row)])
        self.states.append(self._backend.load("f"))

    def wanted(self, records: FlowRecords) -> Sequence[str]:
        """Write, and return the keys of both."""
        self.write()
        return ["a", "b"]


class LooksContract:
    """What is looked at is what was committed, or as much of it as is wanted."""

    @pytest.mark.parametrize("kinds", [None, ["atom"], ["flow", "try"], ["request"], []])
    def test_what_is_looked_at_is_what_is_loaded(self, backend: Backend, kinds: Sequence[str] | None) -> None:
        claim = begin(backend)
        for number in range(3):
            words = {"state": f"S{number}", "text": '"}],[', "é\n": [number]}
            changes = [Put("atom", f"a{number}", words), Put('at"om', "é", words)]
            claim = backend.commit(claim, [*changes, Append("try", "a0", words), Append("try", '"', words)])
        backend.post("flow:f", {"do": "suspend"})
        assert decoded(backend.look("f", kinds)) == backend.load("f", kinds)
        assert decoded(backend.look("f", kinds, lambda records: ["a0", '"'])) == backend.load("f", kinds)
        backend.renew(claim, lease_s=0)
        assert decoded(backend.look("f", kinds)) == backend.load("f", kinds)
        with pytest.raises(NotFound):
            backend.look("g", kinds)
        with pytest.raises(NotFound):
            backend.look("g", kinds, lambda records: ["a0"])

    @pytest.mark.parametrize(
        "keys",
        [[], ["a0"], ["a0", "none", "a0"], HOSTILE_NAMES, [f"a{number}" for number in range(1200)]],
        ids=["none", "one", "one twice", "hostile", "many"],
    )
    def test_as_much_is_there_as_is_wanted(self, backend: Backend, reopened: Backend, keys: list[str]) -> None:
        names = {*HOSTILE_NAMES, *keys}
        changes = [Append(kind, name, {"n": n}) for n in (1, 2) for kind in ("try", "log") for name in names]
        claim = backend.commit(begin(backend), [*changes, Put("atom", "a", {})])
        backend.commit(claim, [Append("try", "a0", {"n": 3})])
        loaded = backend.load("f")
        looked = reopened.look("f", None, lambda records: iter(keys))
        assert _of_keys(keys, looked) == _of_keys(keys, loaded)
        looked = reopened.look("f", ["try"], lambda records: iter(keys))
        assert _of_keys(keys, looked) == _of_keys(keys, backend.load("f", ["try"]))

    def test_it_is_of_one_state_whatever_is_written_meanwhile(self, backend: Backend, reopened: Backend) -> None:
        writing = Writing(backend)
        for _ in range(3):
            assert decoded(reopened.look("f", None, writing.wanted)) in writing.states
        writing.write()
        assert decoded(reopened.look("f")) == writing.states[-1]

    def test_a_flow_that_is_destroyed_meanwhile_is_seen_whole(self, backend: Backend, reopened: Backend) -> None:
        claim = backend.commit(begin(backend), [Put("atom", "a", {}), Append("try", "a", {"n": 1})])
        before, destroyed = backend.load("f"), list[str]()

        def wanted(records: FlowRecords) -> Sequence[str]:
            backend.renew(claim, lease_s=0)
            backend.destroy(records.flow)
            destroyed.append(records.flow)
            return ["a"]

        assert decoded(reopened.look("f", None, wanted)) == before
        if destroyed:
            with pytest.raises(NotFound):
                reopened.look("f", None, wanted)

    def test_a_look_that_fails_holds_up_nobody(self, backend: Backend, reopened: Backend) -> None:
        claim = begin(backend)

        def fail(records: FlowRecords) -> Sequence[str]:
            raise LookupError(records.flow)

        for number in range(2):
            with suppress(LookupError):  # not of a backend that asks nobody
                reopened.look("f", None, fail)
            claim = backend.commit(claim, [Put("atom", "a", {"n": number})])
            assert reopened.load("f").kind("atom") == {"a": {"n": number}}
        backend.renew(claim, lease_s=0)
        assert begin(reopened).epoch > claim.epoch


def _of_keys(keys: Collection[str], records: FlowRecords) -> FlowRecords:
    """Return records, decoded, with only what was appended under these keys."""
    found = decoded(records)
    of_kinds = {kind: {key: rows[key] for key in rows if key in keys} for kind, rows in found.appended.items()}
    return replace(found, appended={kind: rows for kind, rows in of_kinds.items() if rows})
