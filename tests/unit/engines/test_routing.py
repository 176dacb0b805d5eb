"""Atoms that name the executor that they run on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flowbook import Flow, FlowState, LinearFlow, Notice, Retry, Task, Times, UnorderedFlow, engines, task
from flowbook.exceptions import NotPossible, UnknownPlugin, WrongType
from flowbook.persistence import Backend
from flowbook.testing.executor_tasks import Give
from unit.engines.tasks import Say


@task(provides="where")
def where() -> str:
    return threading.current_thread().name


def places(*atoms: Task) -> Flow:
    return UnorderedFlow("f").add(*atoms)


def at(name: str, executor: str | None = None) -> Task:
    return where.atom(name, provides=name, executor=executor)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
        yield pool


def test_an_atom_runs_where_it_asks_to_and_others_where_the_engine_does(pool: ThreadPoolExecutor) -> None:
    class Mine(Task):
        executor = "mine"

        def execute(self) -> str:
            return threading.current_thread().name

    @task(provides="by_option", executor="mine")
    def by_option() -> str:
        return threading.current_thread().name

    flow = places(
        Mine("c", provides="by_class"),
        Say("s", [], provides="by_keyword", executor="mine"),
        by_option,
        by_option.atom("again", provides="kept"),
        at("by_atom", "mine"),
        at("serially", "serial"),
        at("none"),
    )
    flow.add(Mine("m", provides="by_argument", executor="serial"))
    found = engines.run(flow, engine="parallel", executors={"mine": pool})
    here = threading.current_thread().name
    mine = {name for name, place in found.items() if str(place).startswith("mine")}
    assert mine == {"by_class", "by_option", "kept", "by_atom"}
    assert {name for name, place in found.items() if place == here} == {"serially", "by_argument"}
    assert pool.submit(lambda: 1).result() == 1  # it stays the user's


def test_an_executor_is_made_once_a_run_and_only_where_one_is_asked_for() -> None:
    flow = places(*[at(f"a{i}", "one") for i in range(6)], *[at(f"b{i}") for i in range(6)])
    options: dict[str, Any] = {"engine": "parallel", "max_workers": 1}
    found = engines.run(flow, executors={"one": ("threads", 1), "unused": 3}, **options)
    threads = [{found[f"{letter}{i}"] for i in range(6)} for letter in "ab"]
    assert [len(names) for names in threads] == [1, 1]
    assert threads[0] != threads[1]


def test_an_atom_that_names_the_executor_of_the_engine_runs_on_that() -> None:
    flow = places(at("named", "threads"), at("not"))
    found = engines.run(flow, engine="parallel", executor="threads", max_workers=1)
    assert found["named"] == found["not"]


def test_the_engine_may_name_one_of_the_executors_too(pool: ThreadPoolExecutor) -> None:
    found = engines.run(places(at("a")), engine="parallel", executor="mine", executors={"mine": pool})
    assert str(found["a"]).startswith("mine")


def test_async_atoms_may_name_their_executor_in_an_engine_of_threads() -> None:
    @task(provides="later", executor="async")
    async def later() -> str:
        return threading.current_thread().name

    found = engines.run(places(later, at("plain")), engine="parallel")
    assert found["later"] == "flowbook coroutines" != found["plain"]


def test_each_executor_refuses_its_own_atoms_only(calls: list[str]) -> None:
    @task
    async def later() -> None: ...

    flow = LinearFlow("f").add(Say("a", calls), later.atom(executor="mine"))
    with pytest.raises(NotPossible, match="execute of 'later' is async, and an executor of threads cannot run it"):
        engines.run(flow, engine="parallel", executor="async", executors={"mine": "threads"})
    assert calls == []
    engines.run(flow, engine="parallel", executors={"mine": "async"})
    assert calls == ["a"]


@pytest.mark.slow
def test_only_what_runs_in_processes_has_to_be_picklable() -> None:
    @task(provides="local")
    def local(sum_: int) -> int:
        return sum_ + 1

    flow = LinearFlow("f").add(Give("give", 3, provides="sum_", executor="cpu"), local)
    found = engines.run(flow, engine="parallel", executors={"cpu": ("processes", 1)})
    assert found["local"] == 4


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mime", "did you mean 'mine'?"), ("thread", "did you mean 'threads'?"), ("xyz", "there are async")],
)
def test_an_unknown_name_is_refused_when_the_engine_is_loaded(
    pool: ThreadPoolExecutor, backend: Backend, name: str, hint: str
) -> None:
    before = threading.enumerate()
    with pytest.raises(NotPossible, match=f"'a' names the executor '{name}'") as raised:
        engines.load(places(at("a", name)), backend=backend, engine="parallel", executors={"mine": pool})
    assert hint in raised.value.todo
    assert "test_routing.py:" in raised.value.where
    assert threading.enumerate() == before


def test_what_makes_no_sense_is_refused(pool: ThreadPoolExecutor) -> None:
    class Held(Task):
        executor = 3  # type: ignore[assignment]

        def execute(self) -> None: ...

    class Deciding(Times):
        executor = "mine"

    wrong: Any = pool
    with pytest.raises(WrongType, match="the executor of 'a' is <concurrent") as raised:
        at("a", wrong)
    assert "give it to the engine under a name" in raised.value.todo
    with pytest.raises(WrongType, match="the executor of 'h' is 3"):
        engines.load(Held("h"), engine="parallel")
    with pytest.raises(NotPossible, match="'f_retry' takes no executor: retries decide"):
        engines.load(LinearFlow("f", retry=Deciding(2)), engine="parallel")
    with pytest.raises(WrongType, match="executors is"):
        engines.load(at("a"), engine="parallel", executors=wrong)
    with pytest.raises(WrongType, match="a name in executors is 3"):
        engines.load(at("a"), engine="parallel", executors={3: pool})  # type: ignore[dict-item]
    with pytest.raises(WrongType, match=r"executors\['x'\] is \('threads',\)"):
        engines.load(at("a"), engine="parallel", executors={"x": ("threads",)})
    with pytest.raises(NotPossible, match=r"max_workers of executors\['x'\] is 0"):
        engines.load(at("a"), engine="parallel", executors={"x": ("threads", 0)})
    with pytest.raises(NotPossible, match="has no submit"):
        engines.load(at("a", "x"), engine="parallel", executors={"x": 3})
    with pytest.raises(UnknownPlugin, match="'fibers'"):
        engines.load(at("a", "x"), engine="parallel", executor="fibers", executors={"x": pool})


def test_a_retry_takes_no_executor() -> None:
    class Deciding(Retry):
        def execute(self, history: object) -> None: ...

        def on_failure(self, history: object) -> Any: ...

    with pytest.raises(NotPossible, match="'d' takes no executor"):
        Deciding("d", executor="threads")


def test_a_serial_engine_runs_all_atoms_itself_when_it_is_told_to(pool: ThreadPoolExecutor) -> None:
    flow = places(at("a", "mine"))
    with pytest.raises(NotPossible, match="'a' names the executor 'mine', and a serial engine runs all"):
        engines.load(flow, executors={"mine": pool})
    found = engines.run(flow, executors=None)
    assert found["a"] == threading.current_thread().name
    found = engines.run(flow, engine="parallel", executors=None)
    assert found["a"] != threading.current_thread().name


def test_the_window_is_the_sum_unless_less_is_asked_for(pool: ThreadPoolExecutor) -> None:
    flow = places(at("a"), at("b", "x"), at("c", "y"), at("d", "threads"))
    options: dict[str, Any] = {"engine": "parallel", "executors": {"x": (pool, 3), "y": ("threads", 20)}}
    for more, window in (({}, 16 + 3 + 20), ({"max_in_flight": 5}, 5), ({"max_in_flight": 100}, 16 + 3 + 20)):
        made = engines.load(flow, **options, **more).make_executor()
        made.shutdown()
        assert made.window == window


def test_one_that_takes_no_work_suspends_the_run_which_can_go_on(backend: Backend, calls: list[str]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls, executor="mine"), Say("c", calls))
    options: dict[str, Any] = {"backend": backend, "run_id": "r", "engine": "parallel"}
    engine = engines.load(flow, executors={"mine": pool}, **options)
    with pytest.raises(NotPossible, match="takes no work"):
        engine.run()
    assert engine.state is FlowState.SUSPENDED
    engines.run(flow, executors={"mine": "threads"}, **options)
    assert calls == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("bound", "widths"),
    [(None, [16, 3, 20]), (100, [16, 3, 20]), (30, [13, 3, 14]), (5, [2, 1, 2]), (3, [1, 1, 1]), (2, [1, 1, 1])],
)
def test_each_executor_has_as_much_in_flight_as_its_window_or_share_takes(
    bound: int | None, widths: list[int], pool: ThreadPoolExecutor
) -> None:
    """No attempt has ended when the engine waits for the first time: then as much is in flight as may be."""
    full = threading.Event()
    most, in_flight = Counter[str](), Counter[str]()
    work = task(name="work")(lambda: full.wait(10))
    names = [None, "x", "y"]
    atoms = [work.atom(f"{name}{i}", provides=f"{name}{i}", executor=name) for i in range(30) for name in names]
    options: dict[str, Any] = {"executors": {"x": (pool, 3), "y": ("threads", 20)}, "max_in_flight": bound}
    engine = engines.load(UnorderedFlow("f").add(*atoms), engine="parallel", max_workers=1, **options)

    def listen(notice: Notice) -> None:
        name = notice.atom.rstrip("0123456789")
        in_flight[name] += 1 if notice.state == "RUNNING" else -1
        most[name] = max(most[name], in_flight[name])
        most["all"] = max(most["all"], in_flight.total())

    engine.atom_notifier.register("*", listen)
    steps = engine.run_iter()
    assert [next(steps), next(steps)] == ["SCHEDULING", "WAITING"]
    first = [most[str(name)] for name in names]
    full.set()
    for _ in steps:
        pass
    assert all(engine.storage.fetch(f"{name}{i}") for i in range(30) for name in names)
    assert [most[str(name)] for name in names] == widths
    assert most["all"] == min(sum(widths), bound or 39)
    assert first == (widths if bound != 2 else [1, 1, 0])


@pytest.mark.parametrize("bound", [None, 4])
def test_an_executor_that_is_overloaded_keeps_no_other_waiting(bound: int | None) -> None:
    """All slow atoms wait until the last quick one has been run, and stand before it in the queue."""
    over = threading.Event()

    @task
    def wait() -> bool:
        return over.wait(10)

    @task(executor="quick")
    def pass_on(sum_: int = 0) -> int:
        return sum_ + 1

    slow = [wait.atom(f"w{i}", provides=f"w{i}") for i in range(50)]
    quick = LinearFlow("quick").add(
        *[pass_on.atom(f"q{i}", rebind={"sum_": f"s{i}"}, provides=f"s{i + 1}") for i in range(50)]
    )
    quick.add(task(name="end", executor="quick")(over.set))
    flow = UnorderedFlow("f").add(*slow, quick)
    options: dict[str, Any] = {"engine": "parallel", "max_workers": 2, "max_in_flight": bound}
    engine = engines.load(flow, {"s0": 0}, executors={"quick": ("threads", 1)}, **options)
    engine.run()
    assert engine.storage.fetch("s50") == 50
    assert all(engine.storage.fetch(f"w{i}") for i in range(50))


def test_a_window_of_one_lets_atoms_of_all_executors_run_one_by_one(calls: list[str]) -> None:
    flow = UnorderedFlow("f").add(*[Say(f"s{i}", calls, executor="one" if i % 2 else None) for i in range(6)])
    engines.run(flow, engine="parallel", executors={"one": ("threads", 1)}, max_in_flight=1)
    assert calls == [f"s{i}" for i in range(6)]


def test_what_is_undone_is_undone_where_it_was_done(pool: ThreadPoolExecutor) -> None:
    undone: list[str] = []

    class Mine(Task):
        executor = "mine"

        def execute(self) -> None: ...

        def revert(self) -> None:
            undone.append(threading.current_thread().name)

    @task
    def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        engines.run(LinearFlow("f").add(Mine("m"), fail), engine="parallel", executors={"mine": pool})
    assert [name.startswith("mine") for name in undone] == [True]
