"""A coroutine is no result: an atom that returns one, and has not awaited it, fails."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from typing import Any

import pytest

from flowbook import Decision, FlowState, History, LinearFlow, Retry, Task, engines, task
from flowbook.exceptions import NotPossible


async def give(value: int) -> int:
    return value


@task(provides="given")
def plain() -> Any:
    return give(1)


class Lazy:
    """A value that somebody else may await."""

    def __await__(self) -> Generator[None, None, int]:
        yield
        return 3


def test_what_is_to_be_done_is_said_and_python_has_nothing_to_warn_of() -> None:
    with pytest.raises(NotPossible) as raised:
        engines.run(plain)
    told = "execute of 'plain' returned a coroutine, which nobody awaits: write it as 'async def'"
    assert str(raised.value) == told
    assert "test_unawaited.py:" in raised.value.where
    assert raised.value.todo == 'give engine="parallel", executor="async", which runs what is async'
    del raised
    gc.collect()  # a coroutine that was never awaited would be told of here, and warnings are errors


def test_a_lambda_around_a_coroutine_is_a_plain_function() -> None:
    with pytest.raises(NotPossible, match="write it as 'async def'"):
        engines.run(task(name="hidden")(lambda: give(1)), engine="parallel", executor="async")


def test_a_coroutine_that_returns_another_is_told_to_await_it() -> None:
    @task
    async def twice() -> Any:
        return give(1)

    @task
    async def begins() -> Any:
        return asyncio.create_task(give(1))

    for made, kind in ((twice, "coroutine"), (begins, "Task")):
        with pytest.raises(NotPossible, match=f"a {kind}, which nobody awaits: return what it") as raised:
            engines.run(made, engine="parallel", executor="async")
        assert raised.value.todo == ""


def test_a_retry_gives_no_coroutine_either() -> None:
    class Later(Retry):
        def execute(self, history: History) -> Any:
            return give(1)

        def on_failure(self, history: History) -> Decision:
            return Decision.REVERT

    with pytest.raises(NotPossible, match="execute of 'later' returned a coroutine, which nobody awaits: return what"):
        engines.run(LinearFlow("f", retry=Later("later")))


def test_a_hooked_task_is_told_the_same() -> None:
    class Hooked(Task):
        def pre_execute(self) -> None: ...

        def execute(self) -> Any:
            return give(1)

    with pytest.raises(NotPossible, match="returned a coroutine"):
        engines.run(Hooked("hooked"))


def test_another_object_that_can_be_awaited_is_a_result() -> None:
    engine = engines.load(task(name="lazy", provides="lazy")(Lazy))
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert isinstance(engine.storage.fetch("lazy"), Lazy)
