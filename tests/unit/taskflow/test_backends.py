"""Logbooks in native backends: what is saved comes back, is shown natively, and keeps out of an engine's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from flowbook import LinearFlow, engines, task
from flowbook.engines.results import live
from flowbook.engines.storage import as_inline
from flowbook.exceptions import FlowOwned
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Put
from flowbook.persistence.memory import MemoryBackend as NativeMemory
from flowbook.persistence.owners import current_owner
from flowbook.taskflow import exceptions, states
from flowbook.taskflow.persistence import backends, path_based, rows
from flowbook.taskflow.persistence.backends import impl_dir, impl_memory, impl_sqlalchemy
from flowbook.taskflow.persistence.connection import AdaptedBackend, Connection
from flowbook.taskflow.persistence.models import AtomDetail, FlowDetail, LogBook, RetryDetail, TaskDetail
from flowbook.taskflow.types.failure import Failure
from flowbook.taskflow.utils import persistence_utils
from flowbook.views.details import view_run
from flowbook.views.runs import list_runs

NOT_JSON: Any = ((1, {2, 3}), b"x", datetime(2020, 1, 1, tzinfo=UTC), {1: "one"})


@pytest.fixture(params=["memory", "file", "in memory of sqlite", "directory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AdaptedBackend]:
    make: dict[str, Callable[[], AdaptedBackend]] = {
        "memory": impl_memory.MemoryBackend,
        "file": lambda: impl_sqlalchemy.SQLAlchemyBackend({"connection": f"sqlite:///{tmp_path}/books.db"}),
        "in memory of sqlite": lambda: impl_sqlalchemy.SQLAlchemyBackend({"connection": "sqlite://"}),
        "directory": lambda: impl_dir.DirBackend({"path": str(tmp_path / "books")}),
    }
    with closing(make[request.param]()) as made:
        yield made


@pytest.fixture
def connection(backend: AdaptedBackend) -> Iterator[Connection]:
    with closing(backend.get_connection()) as opened:
        yield opened


def saved(connection: Connection, *atoms: AtomDetail) -> FlowDetail:
    """Save a logbook with one flow detail; return what is read of it."""
    book, flow = LogBook("orders"), FlowDetail("order", "f-1")
    book.add(flow)
    for atom in atoms:
        flow.add(atom)
    connection.save_logbook(book)
    return connection.get_flow_details(flow.uuid)


def found(flow: FlowDetail, uuid: str) -> AtomDetail:
    atom = flow.find(uuid)
    assert atom is not None
    return atom


def finished(name: str, result: object) -> TaskDetail:
    done = TaskDetail(name, f"uuid of {name}")
    done.put(states.SUCCESS, result)
    return done


def told(retry: AtomDetail) -> list[tuple[object, dict[str, str]]]:
    return [(result, {name: each.exception_str for name, each in failed.items()}) for result, failed in retry.results]


def failure(text: str) -> Failure:
    return Failure.from_exception(RuntimeError(text))


def test_values_that_json_does_not_know_survive(connection: Connection) -> None:
    atom = finished("a", NOT_JSON)
    atom.meta, atom.version = {"at": NOT_JSON}, (1, 0)
    read = found(saved(connection, atom), atom.uuid)
    assert (read.results, read.meta, read.version) == (NOT_JSON, {"at": NOT_JSON}, (1, 0))


def test_the_history_of_a_retry_survives_with_its_results_and_failures(connection: Connection) -> None:
    retry = RetryDetail("again", "r-1")
    for value, failed in ((("first", 1), {"a": failure("x"), "b": failure("y")}), ("second", {"a": failure("z")})):
        retry.put(states.SUCCESS, value)
        retry.last_failures.update(failed)
    retry.put(states.SUCCESS, "third")
    read = found(saved(connection, retry), "r-1")
    assert isinstance(read, RetryDetail)
    assert told(read) == told(retry) == [(("first", 1), {"a": "x", "b": "y"}), ("second", {"a": "z"}), ("third", {})]
    assert read.results[0][1]["a"].matches(retry.results[0][1]["a"])
    assert (read.last_results, read.last_failures) == ("third", {})


def test_a_history_that_grows_is_added_to_and_one_that_was_emptied_is_empty(connection: Connection) -> None:
    retry = RetryDetail("again", "r-1")
    retry.put(states.SUCCESS, 1)
    saved(connection, retry)
    retry.last_failures["a"] = failure("x")
    retry.put(states.SUCCESS, 2)
    connection.update_atom_details(retry)
    assert told(connection.get_atom_details("r-1")) == [(1, {"a": "x"}), (2, {})]
    retry.reset(states.PENDING)
    connection.update_atom_details(retry)
    assert connection.get_atom_details("r-1").results == []


@pytest.mark.parametrize("state", [None, states.PENDING, states.FAILURE, states.REVERT_FAILURE, "BLUE", states.IGNORE])
def test_a_state_survives_also_where_no_native_row_could_say_it(connection: Connection, state: str | None) -> None:
    atom = TaskDetail("a", "a-1")
    atom.state = state
    flow = saved(connection, atom)
    flow.state = state
    connection.update_flow_details(flow)
    read = connection.get_flow_details("f-1")
    assert (read.state, found(read, "a-1").state) == (state, state)


def test_outcomes_of_reverting_survive(connection: Connection) -> None:
    undone, stuck = finished("undone", 1), TaskDetail("stuck", "s-1")
    undone.put(states.REVERTED, "gone")
    stuck.put(states.REVERT_FAILURE, failure("no way back"))
    stuck.intention = states.REVERT
    flow = saved(connection, undone, stuck)
    assert (found(flow, undone.uuid).results, found(flow, undone.uuid).revert_results) == (1, "gone")
    read = found(flow, "s-1")
    assert read.revert_failure is not None
    assert (read.revert_failure.exception_str, read.intention) == ("no way back", "REVERT")


def test_atoms_come_back_in_their_order_also_those_that_have_one_name(connection: Connection) -> None:
    atoms = [TaskDetail(name, uuid) for name, uuid in (("z", "1"), ("a", "2"), ("z", "3"), ("m", "4"))]
    flow = saved(connection, *atoms)
    assert [(atom.name, atom.uuid) for atom in flow] == [("z", "1"), ("a", "2"), ("z", "3"), ("m", "4")]
    assert [atom.uuid for atom in connection.get_atoms_for_flow("f-1")] == ["1", "2", "3", "4"]


def test_an_update_without_atoms_leaves_them_alone(connection: Connection) -> None:
    flow = saved(connection, finished("a", 1)).copy(retain_contents=False)
    flow.state, flow.meta = states.RUNNING, {"who": "me"}
    connection.update_flow_details(flow)
    read = connection.get_flow_details("f-1")
    assert (read.state, read.meta, [atom.results for atom in read]) == (states.RUNNING, {"who": "me"}, [1])


def test_what_was_read_can_be_changed_without_changing_what_is_kept(connection: Connection) -> None:
    atom = finished("a", 1)
    atom.meta = {"deep": {"er": 1}}
    read = found(saved(connection, atom), atom.uuid)
    read.meta["deep"]["er"] = 2
    atom.meta["deep"]["er"] = 3
    assert connection.get_atom_details(atom.uuid).meta == {"deep": {"er": 1}}


def test_a_logbook_keeps_its_metadata_its_times_and_the_order_of_its_flows(connection: Connection) -> None:
    book = LogBook("orders", "b-1")
    book.meta = {"of": ("two", 2)}
    for uuid in ("z", "a"):
        book.add(FlowDetail(uuid, uuid))
    connection.save_logbook(book)
    read = connection.get_logbook("b-1")
    assert (read.name, read.meta, read.created_at, read.updated_at) == (
        "orders",
        {"of": ("two", 2)},
        book.created_at,
        book.updated_at,
    )
    assert [flow.uuid for flow in read] == [flow.uuid for flow in connection.get_flows_for_book("b-1")] == ["z", "a"]


def test_all_is_gone_once_it_is_cleared_but_a_run_in_no_logbook(
    backend: AdaptedBackend, connection: Connection
) -> None:
    engines.run(LinearFlow("native").add(made_by_us), backend=backend.native, run_id="native-1")
    atom = finished("a", 1)
    saved(connection, atom)
    connection.clear_all()
    assert list(connection.get_logbooks()) == []
    assert [run.flow for run in backend.native.find(Query())] == ["native-1"]
    for missing in (connection.get_flow_details, connection.get_logbook, connection.get_atom_details):
        with pytest.raises(exceptions.NotFound):
            missing("f-1")
    with pytest.raises(exceptions.NotFound):
        connection.update_atom_details(atom)


@task(provides="made")
def made_by_us() -> tuple[int, int]:
    return (1, 2)


def test_a_run_that_was_saved_is_a_run_of_the_native_backend(backend: AdaptedBackend, connection: Connection) -> None:
    failed = TaskDetail("b", "b-1")
    failed.put(states.FAILURE, failure("woe"))
    given = TaskDetail(rows.INJECTOR, "i-1")
    given.put(states.SUCCESS, {"x": 1})
    flow = saved(connection, given, finished("a", 5), failed)
    flow.state = states.FAILURE
    connection.update_flow_details(flow)
    (run,) = (run for run in backend.native.find(Query(book="orders")) if run.flow == "f-1")
    assert (run.name, run.state, run.atoms, run.owner) == ("order", "FAILURE", 2, None)
    view = view_run(backend.native, "f-1")
    assert [(atom.name, atom.state) for atom in view.atoms] == [("a", "SUCCESS"), ("b", "FAILURE")]
    assert list(view.inputs) == ["x"]
    assert found(connection.get_flow_details("f-1"), "i-1").results == {"x": 1}


def test_a_run_of_the_native_engine_is_a_flow_detail(backend: AdaptedBackend, connection: Connection) -> None:
    engines.run(LinearFlow("native").add(made_by_us), backend=backend.native, run_id="native-1")
    flow = connection.get_flow_details("native-1")
    (atom,) = flow
    assert (flow.name, flow.state, atom.name, atom.state, atom.results) == (
        "native",
        "SUCCESS",
        "made_by_us",
        "SUCCESS",
        (1, 2),
    )
    assert connection.get_atom_details(atom.uuid).name == "made_by_us"


def test_a_flow_that_an_engine_owns_is_not_written(backend: AdaptedBackend, connection: Connection) -> None:
    flow = saved(connection, finished("a", 1))
    claim = backend.native.claim("flow:f-1", current_owner(), lease_s=30)
    with pytest.raises(exceptions.StorageFailure) as caught:
        connection.update_flow_details(flow)
    assert isinstance(caught.value.cause, FlowOwned)
    with pytest.raises(exceptions.StorageFailure):
        connection.update_atom_details(found(flow, "uuid of a"))
    assert backend.native.commit(claim, []).epoch == claim.epoch  # the engine goes on


def test_a_logbook_is_saved_while_an_engine_elsewhere_runs_one_of_its_flows(
    backend: AdaptedBackend, connection: Connection
) -> None:
    book, running = LogBook("orders", "b-1"), FlowDetail("running", "f-1")
    book.add(running)
    connection.save_logbook(book)
    backend.native.claim("flow:f-1", current_owner(), lease_s=30)
    running.meta["stale"] = True
    book.add(FlowDetail("new", "f-2"))
    connection.save_logbook(book)
    assert [(flow.name, flow.meta) for flow in connection.get_flows_for_book("b-1")] == [("running", {}), ("new", {})]


def test_under_an_engines_claim_only_that_is_written_which_the_engine_does_not_write(
    backend: AdaptedBackend, connection: Connection
) -> None:
    flow = saved(connection, TaskDetail("a", "a-1"))
    backend.claims["f-1"] = claim = backend.native.claim("flow:f-1", current_owner(), lease_s=30)
    row = {"state": "SUCCESS", "attempt": 1, "started_at": 5.0, "result": backend.values.kept(7, "result")}
    claim = backend.native.commit(claim, [Put("atom", "a", row)])
    atom = found(flow, "a-1")
    atom.state, atom.meta = states.RUNNING, {"progress": 0.5}
    connection.update_atom_details(atom)
    flow.meta = {"seen": True}
    connection.update_flow_details(flow)
    backend.native.commit(claim, [])  # the engine goes on
    read = connection.get_flow_details("f-1")
    assert (read.meta, found(read, "a-1").meta) == ({"seen": True}, {"progress": 0.5})
    assert (found(read, "a-1").state, found(read, "a-1").results) == (states.SUCCESS, 7)


def test_native_facts_of_an_atom_stay_when_its_detail_is_written(
    backend: AdaptedBackend, connection: Connection
) -> None:
    engines.run(LinearFlow("native").add(made_by_us), backend=backend.native, run_id="native-1")
    before = backend.native.load("native-1").kind("atom")["made_by_us"]
    (atom,) = connection.get_flow_details("native-1")
    atom.put(states.REVERTED, None)
    connection.update_atom_details(atom)
    after = backend.native.load("native-1").kind("atom")["made_by_us"]
    assert (after["state"], after["attempt"], after["started_at"]) == ("REVERTED", 1, before["started_at"])


def test_fields_that_only_the_native_engine_knows_stay_in_its_rows(
    backend: AdaptedBackend, connection: Connection
) -> None:
    flow = saved(connection, finished("a", 1))
    own = {"due": ["x"], "undo": [1], "ignored_by": "d", "intention": "REVERT"}
    known = backend.native.load("f-1")
    rewritten = [Put(kind, key, {**known.kind(kind)[key], **own}) for kind, key in (("flow", "f-1"), ("atom", "a"))]
    hook = backend.values.kept(failure("asked"), "hook failure")
    rewritten.append(Put("atom", "a", {**known.kind("atom")["a"], **own, "hook_failure": hook}))
    claim = backend.native.commit(backend.native.claim("flow:f-1", current_owner(), lease_s=30), rewritten)
    backend.native.renew(claim, lease_s=0)
    flow.state = states.REVERTED
    found(flow, "uuid of a").put(states.REVERTED, "gone")
    connection.update_flow_details(flow)
    after = backend.native.load("f-1")
    atom, run = after.kind("atom")["a"], after.kind("flow")["f-1"]
    assert (atom["state"], run["state"]) == ("REVERTED", "REVERTED")
    assert {name: atom[name] for name in own} == {name: run[name] for name in own} == own
    assert live(as_inline(atom["hook_failure"])).exception_str == "asked"


def test_logbooks_are_no_runs_in_a_list(backend: AdaptedBackend, connection: Connection) -> None:
    saved(connection, finished("a", 1))
    assert [run.id for run in list_runs(backend.native)] == [run.id for run in list_runs(backend.native, limit=1)]
    assert [run.id for run in list_runs(backend.native)] == ["f-1"]


def test_atoms_of_flows_that_another_backend_object_wrote_are_found(tmp_path: Path) -> None:
    conf = {"connection": f"sqlite:///{tmp_path}/books.db"}
    atom = finished("a", 1)
    with closing(backends.fetch(conf)) as first, closing(backends.fetch(conf)) as second:
        saved(first.get_connection(), atom)
        atom.meta = {"seen": True}
        second.get_connection().update_atom_details(atom)
        assert first.get_connection().get_atom_details(atom.uuid).meta == {"seen": True}


def test_a_value_that_cannot_be_stored_is_a_storage_failure_and_changes_nothing(tmp_path: Path) -> None:
    with backends.backend(f"sqlite:///{tmp_path}/books.db") as backend:
        connection = backend.get_connection()
        atom = finished("a", 1)
        saved(connection, atom)
        atom.put(states.SUCCESS, object())
        with pytest.raises(exceptions.StorageFailure, match="result of 'a'"):
            connection.update_atom_details(atom)
        assert connection.get_atom_details(atom.uuid).results == 1


@pytest.mark.parametrize(
    ("conf", "kind"),
    [
        ("memory", impl_memory.MemoryBackend),
        ("memory://", impl_memory.MemoryBackend),
        ({"connection": "memory:"}, impl_memory.MemoryBackend),
        ({"connection": "dir", "path": "somewhere"}, impl_dir.DirBackend),
        ("file:///?path=somewhere", impl_dir.DirBackend),
        ("sqlite://", impl_sqlalchemy.SQLAlchemyBackend),
        ("sqlite+pysqlite:///somewhere.db?check_same_thread=false", impl_sqlalchemy.SQLAlchemyBackend),
    ],
)
def test_a_backend_is_found_by_name_or_uri(conf: Any, kind: type[AdaptedBackend]) -> None:
    with closing(backends.fetch(conf)) as made:
        assert type(made) is kind


def test_another_packages_backend_is_found_among_the_entry_points_of_its_namespace() -> None:
    made: object = backends.fetch({"connection": "memory:"}, namespace="flowbook.persistence")
    assert type(made) is NativeMemory


def test_what_the_query_of_a_uri_says_is_configuration_and_the_mapping_wins() -> None:
    conf = {"connection": "dir:///?path=there&encoding=utf-8", "path": "here"}
    with closing(backends.fetch(conf)) as made:
        said = {**made._conf, "path": Path(made._conf["path"]).name}
    assert said == {"connection": conf["connection"], "path": "here", "encoding": "utf-8"}


def test_an_unknown_backend_is_not_found() -> None:
    with pytest.raises(exceptions.NotFound, match="teapot"):
        backends.fetch("teapot+mini://kitchen")


@pytest.mark.parametrize("uri", ["mysql+pymysql://me:secret@db/x", "postgresql://me:secret@db/x", "zookeeper://host"])
def test_a_backend_that_is_still_to_come_says_so_and_tells_no_password(uri: str) -> None:
    with pytest.raises(exceptions.NotImplementedError, match="yet") as caught:
        backends.fetch(uri)
    assert "secret" not in str(caught.value)


def test_a_place_that_cannot_be_used_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(exceptions.StorageFailure, match="directory"):
        backends.fetch(f"sqlite:///{tmp_path}")
    missing = f"sqlite:///{tmp_path}/missing/books.db"
    with closing(backends.fetch(missing)) as made, pytest.raises(exceptions.StorageFailure, match="no directory"):
        made.get_connection().upgrade()
    below_a_file = {"path": tmp_path / "file" / "books"}
    with closing(impl_dir.DirBackend(below_a_file)) as made, pytest.raises(exceptions.StorageFailure):
        made.get_connection()


@pytest.mark.parametrize("conf", [{}, {"path": ""}, {"path": "here", "max_cache_size": 0}])
def test_a_directory_without_a_path_or_room_is_refused(conf: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"path|max_cache_size"):
        impl_dir.DirBackend(conf)


def test_threads_that_write_one_flow_do_not_hinder_each_other(backend: AdaptedBackend, connection: Connection) -> None:
    atoms = [finished(str(number), number) for number in range(8)]
    saved(connection, *atoms)
    for atom in atoms:
        atom.put(states.SUCCESS, "other")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda atom: backend.get_connection().update_atom_details(atom), atoms))
    assert {atom.results for atom in connection.get_flow_details("f-1")} == {"other"}


def test_an_sqlalchemy_engine_says_where_the_database_is(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/books.db")
    with closing(impl_sqlalchemy.SQLAlchemyBackend({}, engine=engine)) as made:
        saved(made.get_connection(), finished("a", 1))
    assert (tmp_path / "books.db").exists()


def test_a_configuration_that_is_no_dict_is_refused() -> None:
    conf: Any = ["path"]
    with pytest.raises(TypeError, match="path"):
        impl_memory.MemoryBackend(conf)


def test_connections_and_backends_with_a_path_are_path_based(tmp_path: Path) -> None:
    with closing(impl_dir.DirBackend({"path": tmp_path})) as made:
        assert (isinstance(made, path_based.PathBasedBackend), made.path) == (True, str(tmp_path))
        assert isinstance(made.get_connection(), path_based.PathBasedConnection)


def test_a_flow_detail_is_made_and_kept_in_a_book_of_its_own() -> None:
    backend = impl_memory.MemoryBackend()
    flow = persistence_utils.create_flow_detail(FlowDetail("order", ""), backend=backend, meta={"a": 1})
    (book,) = backend.get_connection().get_logbooks()
    assert [(kept.uuid, kept.name, kept.meta) for kept in book] == [(flow.uuid, "order", {"a": 1})]
