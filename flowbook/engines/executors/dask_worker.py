"""What a worker of dask does for an engine: it runs attempts that come as bytes, and tells what they tell.

Attempts and outcomes are bytes to dask, so that it takes nothing in them for a key or a task of its own.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import cloudpickle
from distributed import get_worker

from flowbook.atoms.task import FunctionTask, Task
from flowbook.engines.context import Context, Outcome
from flowbook.engines.executors.errors import NotPicklable
from flowbook.engines.executors.pickling import by_reference, pickled, unpickled
from flowbook.engines.executors.worker import not_unpickled, of_result
from flowbook.failure import Failure, reduced
from flowbook.secrets import masking

TURN_S: Final = 0.25
"""How long an attempt that was handed over ahead waits for its turn; then another worker may have it."""

TELL_EVERY_S: Final = 0.1
"""How often one attempt may send what it tells: each time costs the scheduler a message."""

_turn = threading.Lock()  # of the attempts that run alone in this process
_changing = threading.Lock()
_running = ""  # the key of the one that has its turn
_is_doomed = False
_stopped: set[str] = set()  # the keys of those that are not to begin


class Ended(NamedTuple):
    """How an attempt ended: the texts of secrets in it, what it told last, and how many seconds it took."""

    outcome: Outcome
    secrets: tuple[str, ...] = ()
    told: Mapping[str, object] = {}
    seconds: float = 0.0


NO_TURN: Final = b""
"""What comes back of an attempt that was not begun, because another one took its time."""


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    def reducer_override(self, obj: Any) -> Any:  # typed so by pickle
        if isinstance(obj, Failure):
            return reduced(obj, _kept)
        if isinstance(obj, FunctionTask) and obj.__module__ == "__main__":
            return Task.__reduce_ex__(obj, pickle.HIGHEST_PROTOCOL)  # whole: not the name that it has there
        return super().reducer_override(obj)


def portable(value: object) -> bytes:
    """Return ``value`` pickled. What cannot be imported, or only here, travels itself: ``__main__``'s, and lambdas."""
    try:
        data = by_reference(value)
    except Exception:  # whatever the classes of the caller raise
        data = b"__main__"
    return data if b"__main__" not in data else _by_value(value)


def _by_value(value: object) -> bytes:
    whole = io.BytesIO()
    _ByValue(whole, pickle.HIGHEST_PROTOCOL).dump(value)
    return whole.getvalue()


def _kept(part: object) -> object:
    """Return a part of a failure when it can travel itself, else None."""
    try:
        _by_value(part)
    except Exception:  # whatever the classes of the caller raise
        return None
    return part


def run_attempt(parcel: bytes) -> bytes:
    """Run the attempt that ``parcel`` is, and return an `Ended` pickled, or ``NO_TURN``; this is the task of dask."""
    try:
        key, name, topic, alone, call, args = unpickled(parcel)
    except BaseException as error:  # importing what is named in it runs the caller's code
        return portable(Ended(Outcome(failure=Failure.from_exception(not_unpickled(error)))))
    if not alone:
        return _run(key, name, topic, call, args)
    if not _turn.acquire(timeout=TURN_S):
        return NO_TURN
    try:
        return _run(key, name, topic, call, args) if _begins(key) else NO_TURN
    finally:
        _begins("")  # from here on none has
        _turn.release()


def stop_attempt(key: str) -> int | None:
    """Return the id of this process, if it runs that attempt: it begins no other, and is to be ended.

    Else it will not begin that attempt, if it has it.
    """
    global _is_doomed
    with _changing:
        _stopped.add(key)
        if _running != key:
            return None
        _is_doomed = True
        return os.getpid()


def _begins(key: str) -> bool:
    global _running
    with _changing:
        if _is_doomed or key in _stopped:
            return False
        _running = key
        return True


def _run(key: str, name: str, topic: str, call: Any, args: tuple[Any, ...]) -> bytes:
    began = time.monotonic()
    telling = _Telling(key, topic)
    outcome = call(*(one.told_to(telling.tell) if isinstance(one, Context) else one for one in args))
    ended = Ended(outcome, told=telling.end(), seconds=time.monotonic() - began)
    what = f"the outcome of {name!r}"
    dumps = portable if outcome.failure is None else _by_value  # by its name alone a failure would lose its exception
    try:
        data = pickled(ended, what, name="outcome", dumps=dumps)
    except NotPicklable as error:
        failure = Failure.from_exception(of_result(outcome.value, name, portable) or error)
        ended = ended._replace(outcome=Outcome(None, failure, outcome.began_at))
        data = pickled(ended, what, name="outcome", dumps=portable)
    secrets = tuple(text for text in masking.remembered() if text.encode("utf-8", "surrogatepass") in data)
    return pickled(ended._replace(secrets=secrets), what, name="outcome", dumps=dumps) if secrets else data


class _Telling:
    """Sends what an attempt tells, the newest word of each name, through the scheduler to who listens to ``topic``."""

    def __init__(self, key: str, topic: str) -> None:
        self._key, self._topic = key, topic
        self._worker = get_worker()
        self._lock = threading.Lock()
        self._told: dict[str, object] = {}
        self._sends = False
        self._sent_at = 0.0
        self._ended = False

    def tell(self, metadata: Mapping[str, object]) -> None:
        """Have it sent soon; threads of the task may tell, too."""
        with self._lock:
            if self._ended:
                return
            self._told.update(metadata)
            if self._sends:
                return
            self._sends = True
            delay_s = max(0.0, self._sent_at + TELL_EVERY_S - time.monotonic())
        loop = self._worker.loop
        loop.add_callback(loop.call_later, delay_s, self._send)

    def end(self) -> Mapping[str, object]:
        """Send nothing more; return what was not sent."""
        with self._lock:
            self._ended = True
            return self._told

    def _send(self) -> None:
        with self._lock:
            self._sends = False
            if self._ended:
                return
            told, self._told = self._told, {}
            self._sent_at = time.monotonic()
            self._worker.log_event(self._topic, [self._key, json.dumps(told)])
