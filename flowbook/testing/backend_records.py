"""The part of the suite of backends about records: what goes in comes out, whatever its name or size."""

# ruff: noqa: D102 - names of tests are sentences

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from flowbook.exceptions import NotFound, TooLarge
from flowbook.persistence.backend import Backend, Query
from flowbook.persistence.changes import Append, Change, Delete, Inline, Put
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids

JSON_VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**70,
    0.1,
    -1.5e-300,
    "",
    "plain",
    "quotes ' \" \\ and \n lines \0 end",
    "\N{SNOWMAN} \N{PILE OF POO} e\N{COMBINING ACUTE ACCENT}",
    "file \udce9 name",
    [],
    {},
    [1, [2, [3, {"deep": [None, {"er": 4.5}]}]]],
    {"": 0, "a b": [True, False], "\N{SNOWMAN}": {"!tuple": [1, 2]}},
]

HOSTILE_NAMES = [
    "..",
    "../../up",
    "/etc/passwd",
    "C:\\con",
    "nul\0inside",
    "\0",
    "\x10",
    "two\nlines\r\ttab",
    "n" * 300,
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "file \udce9 name",
    "'; DROP TABLE flows; --",
    '" OR ""="',
    "100%_[a-z]*?",
    "%s %(x)s {0} :name ?",
    "\N{PILE OF POO}",
    "UPPER",
    "upper",
    "trailing ",
    "trailing",
    " ",
    "flow:flow:x",
    "job:x",
]


class RecordsContract:
    """Records go in and come out."""

    def test_a_record_comes_back_as_it_was_put(self, backend: Backend, reopened: Backend) -> None:
        backend.commit(begin(backend), [Put("atom", "a", {"state": "SUCCESS", "attempt": 2})])
        assert reopened.load("f").kind("atom") == {"a": {"state": "SUCCESS", "attempt": 2}}

    def test_the_flow_record_keeps_fields_that_no_query_asks_for(self, backend: Backend, reopened: Backend) -> None:
        begin(backend, factory={"call": "module:make"}, digest="x")
        found = reopened.load("f").kind("flow")["f"]
        assert found == {**FLOW_ROW, "factory": {"call": "module:make"}, "digest": "x"}

    @pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
    def test_every_json_value_comes_back(self, backend: Backend, reopened: Backend, value: Any) -> None:
        backend.commit(begin(backend), [Put("atom", "a", {"value": value})])
        found = reopened.load("f").kind("atom")["a"]["value"]
        assert (found, type(found)) == (value, type(value))

    def test_numbers_that_json_has_no_word_for_come_back(self, backend: Backend, reopened: Backend) -> None:
        backend.commit(begin(backend), [Put("atom", "a", {"value": [float("inf"), float("nan")]})])
        infinite, undefined = reopened.load("f").kind("atom")["a"]["value"]
        assert infinite == float("inf")
        assert undefined != undefined

    def test_a_handle_comes_back_alive_or_in_its_stored_form(self, backend: Backend, reopened: Backend) -> None:
        live = (1, 2)
        backend.commit(begin(backend), [Put("atom", "a", {"result": Inline(live, '{"!tuple":[1,2]}')})])
        found = reopened.load("f").kind("atom")["a"]["result"]
        if backend.keeps_references:
            assert found.live is live
        else:
            assert found == {"!tuple": [1, 2]}

    def test_an_empty_record_is_a_record(self, backend: Backend, reopened: Backend) -> None:
        backend.commit(begin(backend), [Put("mark", "m", {}), Append("mark", "m", {})])
        records = reopened.load("f")
        assert records.kind("mark") == {"m": {}}
        assert list(records.appended["mark"]["m"]) == [{}]

    def test_a_kind_it_has_never_heard_of_is_kept(self, backend: Backend, reopened: Backend) -> None:
        backend.commit(begin(backend), [Put("gadget", "g", {"x": 1}), Append("gadget", "g", {"y": 2})])
        records = reopened.load("f")
        assert records.kind("gadget") == {"g": {"x": 1}}
        assert list(records.appended["gadget"]["g"]) == [{"y": 2}]

    def test_putting_again_replaces_the_whole_record(self, backend: Backend, reopened: Backend) -> None:
        claim = backend.commit(begin(backend), [Put("atom", "a", {"old": 1, "both": 1})])
        backend.commit(claim, [Put("atom", "a", {"both": 2})])
        assert reopened.load("f").kind("atom")["a"] == {"both": 2}

    def test_appended_records_keep_their_order(self, backend: Backend, reopened: Backend) -> None:
        claim = begin(backend)
        for number in range(0, 30, 3):
            rows = [Append("attempt", "a", {"n": n}) for n in range(number, number + 3)]
            claim = backend.commit(claim, [*rows, Append("attempt", "b", {"n": number})])
        appended = reopened.load("f").appended["attempt"]
        assert [row["n"] for row in appended["a"]] == list(range(30))
        assert [row["n"] for row in appended["b"]] == list(range(0, 30, 3))

    def test_the_last_of_several_puts_in_one_commit_counts(self, backend: Backend, reopened: Backend) -> None:
        backend.commit(begin(backend), [Put("atom", "a", {"n": n}) for n in range(5)])
        assert reopened.load("f").kind("atom")["a"] == {"n": 4}

    def test_what_is_put_behind_its_deletion_is_kept(self, backend: Backend, reopened: Backend) -> None:
        claim = backend.commit(begin(backend), [Put("atom", "a", {"n": 1}), Append("try", "a", {"n": 1})])
        changes: list[Change] = [Delete("atom", "a"), Delete("try", "a")]
        backend.commit(claim, [*changes, Put("atom", "a", {"n": 2}), Append("try", "a", {"n": 2})])
        records = reopened.load("f")
        assert records.kind("atom")["a"] == {"n": 2}
        assert list(records.appended["try"]["a"]) == [{"n": 2}]

    def test_what_is_deleted_behind_its_put_is_gone(self, backend: Backend, reopened: Backend) -> None:
        changes: list[Change] = [Put("atom", "a", {}), Append("try", "a", {}), Put("atom", "b", {})]
        backend.commit(begin(backend), [*changes, Delete("atom", "a"), Delete("try", "a")])
        records = reopened.load("f")
        assert records.kind("atom") == {"b": {}}
        assert not records.appended.get("try")

    def test_deleting_what_is_not_there_does_nothing(self, backend: Backend) -> None:
        backend.commit(begin(backend), [Delete("atom", "none"), Delete("gadget", "none")])
        assert set(backend.load("f").rows) == {"flow"}

    def test_deleting_touches_neither_other_keys_nor_other_kinds(self, backend: Backend) -> None:
        changes: list[Change] = [Put(kind, key, {}) for kind in ("atom", "unit") for key in ("a", "b")]
        backend.commit(begin(backend), [*changes, Delete("atom", "a")])
        records = backend.load("f")
        assert set(records.kind("atom")) == {"b"}
        assert set(records.kind("unit")) == {"a", "b"}

    def test_flows_do_not_see_each_others_records(self, backend: Backend) -> None:
        for flow in ("f", "f2"):
            backend.commit(begin(backend, flow), [Put("atom", "a", {"of": flow}), Append("try", "a", {})])
        assert backend.load("f").kind("atom")["a"] == {"of": "f"}
        assert len(backend.load("f2").appended["try"]["a"]) == 1

    def test_loaded_records_belong_to_the_caller(self, backend: Backend) -> None:
        row = {"list": [1], "dict": {"x": [2]}}
        backend.commit(begin(backend), [Put("atom", "a", row), Append("try", "a", {"list": [1]})])
        records = backend.load("f")
        mine = records.kind("atom")["a"]
        mine["more"] = True
        mine["list"].append("mine")
        mine["dict"]["x"].append("mine")
        appended: Any = records.appended["try"]["a"][0]
        appended["list"].append("mine")
        again = backend.load("f")
        assert again.kind("atom")["a"] == {"list": [1], "dict": {"x": [2]}}
        assert again.appended["try"]["a"][0] == {"list": [1]}

    @pytest.mark.parametrize(
        ("kinds", "rows", "appended"),
        [
            (["atom"], {"atom"}, set()),
            (["try"], set(), {"try"}),
            (["flow", "try", "atom"], {"flow", "atom"}, {"try"}),
            (["nothing"], set(), set()),
            ([], set(), set()),
        ],
    )
    def test_only_the_kinds_that_are_asked_for_are_loaded(
        self, backend: Backend, kinds: Sequence[str], rows: set[str], appended: set[str]
    ) -> None:
        changes: list[Change] = [
            Put("atom", "a", {}),
            Put("input", "i", {}),
            Append("try", "a", {}),
            Append("log", "l", {}),
        ]
        backend.commit(begin(backend), changes)
        records = backend.load("f", kinds)
        assert set(records.rows) == rows
        assert set(records.appended) == appended

    def test_a_flow_without_a_record_is_not_found(self, backend: Backend) -> None:
        claim = backend.claim("flow:f", current_owner(), lease_s=60)
        backend.commit(claim, [Put("atom", "a", {})])
        with pytest.raises(NotFound):
            backend.load("f")
        with pytest.raises(NotFound):
            backend.load("f", ["atom"])

    def test_the_error_for_an_unknown_flow_names_a_near_one(self, backend: Backend) -> None:
        begin(backend, "orders-17")
        with pytest.raises(NotFound) as caught:
            backend.load("orders-71")
        assert "orders-17" in caught.value.todo


class NamesContract:
    """Names and rows of every kind and size."""

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
    def test_any_text_is_a_name(self, backend: Backend, reopened: Backend, name: str) -> None:
        claim = begin(backend, name, book=name, name=name, state=name)
        backend.commit(claim, [Put(f"k{name}", name, {name: name}), Append(f"k{name}", name, {name: name})])
        records = reopened.load(name)
        assert records.flow == name
        assert records.kind(f"k{name}") == {name: {name: name}}
        assert list(records.appended[f"k{name}"][name]) == [{name: name}]
        query = Query(book=name, name=name, states=frozenset({name}), prefix=name)
        (summary,) = reopened.find(query)
        assert (summary.flow, summary.book, summary.name, summary.state) == (name, name, name, name)
        reopened.post(f"flow:{name}", {name: name})

    def test_names_that_look_alike_are_kept_apart(self, backend: Backend, reopened: Backend) -> None:
        changes: list[Change] = [Put("atom", name, {"n": number}) for number, name in enumerate(HOSTILE_NAMES)]
        backend.commit(begin(backend), changes)
        found = {key: row["n"] for key, row in reopened.load("f").kind("atom").items()}
        assert found == {name: number for number, name in enumerate(HOSTILE_NAMES)}

    def test_flows_whose_names_look_alike_are_kept_apart(self, backend: Backend) -> None:
        for name in HOSTILE_NAMES:
            backend.commit(begin(backend, name), [Put("atom", "a", {"of": name})])
        assert [backend.load(name).kind("atom")["a"]["of"] for name in HOSTILE_NAMES] == HOSTILE_NAMES
        assert sorted(ids(backend, Query())) == sorted(HOSTILE_NAMES)

    def test_records_of_a_flow_and_of_another_claim_of_its_name_are_kept_apart(self, backend: Backend) -> None:
        begin(backend, "job:x")
        job = backend.claim("job:x", current_owner(), lease_s=60)
        backend.commit(job, [Put("job", "x", {}), Put("flow", "x", FLOW_ROW)])
        assert set(backend.load("job:x").rows) == {"flow"}
        assert ids(backend, Query()) == ["job:x"]

    def test_a_record_of_a_megabyte_comes_back(self, backend: Backend, reopened: Backend) -> None:
        text = "\N{SNOWMAN}x" * 500_000
        if backend.value_limit_bytes is not None:
            text = text[: backend.value_limit_bytes // 8]
        backend.commit(begin(backend), [Put("plan", "p", {"text": text}), Append("log", "l", {"text": text})])
        records = reopened.load("f")
        assert records.kind("plan")["p"]["text"] == text
        assert records.appended["log"]["l"][0]["text"] == text

    def test_ten_thousand_changes_are_one_commit(self, backend: Backend, reopened: Backend) -> None:
        claim = begin(backend)
        changes: list[Change] = [Put("atom", f"a{n}", {"n": n}) for n in range(5000)]
        changes += [Append("try", f"a{n % 7}", {"n": n}) for n in range(5000)]
        after = backend.commit(claim, changes)
        assert after.seq == claim.seq + 1
        records = reopened.load("f")
        assert len(records.kind("atom")) == 5000
        assert sum(len(rows) for rows in records.appended["try"].values()) == 5000

    def test_a_value_over_the_limit_is_refused_and_nothing_is_written(self, backend: Backend) -> None:
        limit = backend.value_limit_bytes
        if limit is None or limit > 2**24:
            pytest.skip("its limit is too large to be tried")
        claim = begin(backend)
        large = Inline("x" * limit, '"' + "x" * limit + '"')
        with pytest.raises(TooLarge) as caught:
            backend.commit(claim, [Put("atom", "a", {}), Put("atom", "b", {"result": large})])
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (limit + 2, limit)
        assert set(backend.load("f").rows) == {"flow"}
        backend.commit(claim, [Put("atom", "a", {})])
