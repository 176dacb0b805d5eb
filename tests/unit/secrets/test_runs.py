"""Secrets in runs: looked for before anything starts, refused in clear, masked in all that is told."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook import Flow, LinearFlow, Notice, current, engines, persistence, task
from flowbook.engines import Engine
from flowbook.exceptions import EncodeError, InputsChanged, NotFound, UsageError
from flowbook.listeners import DynamicLoggingListener, LoggingListener, PrintingListener
from flowbook.persistence import Backend
from flowbook.secrets import Secret, SecretKeyMissing, SecretMissing, new_key, sealing
from flowbook.views.details import view_run
from flowbook.views.documents import run_document

CANARY = "Canary-0815-secret"

done: list[str] = []


@task(provides="token")
def ask(password: Secret) -> Secret:
    done.append("ask")
    return Secret(f"{password.reveal()}-as-token")


@task(provides="size")
def use(token: Secret) -> int:
    done.append("use")
    return len(token.reveal())


FLOW = LinearFlow("shop").add(ask, use)


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@pytest.fixture(
    params=["memory:?strict=true", "sqlite:///{}/runs.db", "dir:///{}/runs"], ids=["memory", "sqlite", "dir"]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with persistence.fetch(request.param.format(tmp_path)) as backend:
        yield backend


def _stop_after(name: str, backend: Backend, store: dict[str, object], flow: Flow = FLOW) -> None:
    """Begin the run ``r``, and suspend it when an atom has ended."""
    engine = engines.load(flow, store, backend=backend, run_id="r")

    def stop(notice: Notice) -> None:
        if notice.atom == name:
            engine.suspend()

    engine.atom_notifier.register("SUCCESS", stop)
    engine.run()


def _records(backend: Backend) -> str:
    return repr(backend.load("r"))


def test_a_reference_is_stored_and_the_task_is_given_the_secret(
    backend: Backend, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    results = engines.run(FLOW, {"password": Secret.from_env("CANARY")}, backend=backend, run_id="r")
    assert results["size"] == len(f"{CANARY}-as-token")
    assert results["token"].reveal() == f"{CANARY}-as-token"
    view = view_run(backend, "r")
    assert view.inputs == {"password": {"!secret": {"env": "CANARY"}}}
    assert view.atoms[0].result == {"!secret": {"sealed": "***"}}
    assert CANARY not in _records(backend)


def test_a_new_run_whose_secret_is_missing_does_not_begin(backend: Backend) -> None:
    with pytest.raises(SecretMissing, match=r"^input 'password' is not there: environment variable CANARY is not set"):
        engines.load(FLOW, {"password": Secret.from_env("CANARY")}, backend=backend, run_id="r")
    with pytest.raises(NotFound):
        backend.load("r")


def test_a_text_without_a_key_does_not_begin_and_says_how_to_make_one(backend: Backend) -> None:
    with pytest.raises(SecretKeyMissing, match=r"^input 'password' cannot be stored: there is no key") as caught:
        engines.load(FLOW, {"password": {"deep": [Secret(CANARY)]}}, backend=backend, run_id="r")
    assert "flowbook.secrets.new_key()" in caught.value.todo
    assert "Secret.from_env" in caught.value.todo
    with pytest.raises(NotFound):
        backend.load("r")


def test_live_memory_stores_nothing_and_needs_no_key() -> None:
    results = engines.run(FLOW, {"password": Secret(CANARY)})
    assert results["size"] == len(f"{CANARY}-as-token")


@pytest.mark.parametrize("keys", ["", "another"])
def test_a_resume_without_the_key_of_an_input_says_so_before_anything_starts(
    backend: Backend, key: str, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop_after("ask", backend, {"password": Secret(CANARY)})
    before = _records(backend)
    monkeypatch.setenv(sealing.KEYS, new_key() if keys else "")
    with pytest.raises(SecretKeyMissing, match=r"^input 'password' cannot be opened: ") as caught:
        engines.load(FLOW, backend=backend, run_id="r")
    assert sealing.KEYS in caught.value.todo
    assert _records(backend) == before
    monkeypatch.setenv(sealing.KEYS, key)
    engines.run(FLOW, backend=backend, run_id="r")
    assert done == ["ask", "use"]


def test_a_resume_without_the_key_of_a_result_says_so_before_anything_starts(
    backend: Backend, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    _stop_after("ask", backend, {"password": Secret.from_env("CANARY")})
    before = _records(backend)
    monkeypatch.delenv(sealing.KEYS)
    with pytest.raises(SecretKeyMissing, match=r"^the result of 'ask' cannot be opened: there is no key"):
        engines.run(FLOW, backend=backend, run_id="r")
    assert _records(backend) == before
    assert done == ["ask"]
    monkeypatch.setenv(sealing.KEYS, key)
    engines.run(FLOW, backend=backend, run_id="r")  # its claim was given up
    assert done == ["ask", "use"]


def test_a_resume_without_the_variable_says_so_before_anything_starts(
    backend: Backend, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    _stop_after("ask", backend, {"password": Secret.from_env("CANARY")})
    before = _records(backend)
    monkeypatch.delenv("CANARY")
    with pytest.raises(SecretMissing, match=r"^input 'password' is not there: environment variable CANARY is not set"):
        engines.load(FLOW, backend=backend, run_id="r")
    assert _records(backend) == before


def test_a_finished_run_is_read_without_keys(backend: Backend, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engines.run(FLOW, {"password": Secret(CANARY)}, backend=backend, run_id="r")
    monkeypatch.delenv(sealing.KEYS)
    engine = engines.load(FLOW, backend=backend, run_id="r")
    assert engine.storage.get("use") == len(f"{CANARY}-as-token")
    assert str(engine.storage.get("ask")) == "***"
    with pytest.raises(SecretKeyMissing):
        engines.load(FLOW, backend=backend, run_id="r", rerun=True)


def test_the_same_text_given_again_is_the_same_input(backend: Backend, key: str) -> None:
    _stop_after("ask", backend, {"password": Secret(CANARY)})
    with pytest.raises(InputsChanged, match="'password'"):
        engines.run(FLOW, {"password": Secret("another-secret")}, backend=backend, run_id="r")
    engines.run(FLOW, {"password": Secret(CANARY)}, backend=backend, run_id="r")
    assert done == ["ask", "use"]


def test_another_reference_is_another_input(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("OTHER", CANARY)

    @task
    def look(password: Secret) -> None:
        """Do nothing."""

    _stop_after("look", backend, {"password": Secret.from_env("CANARY")}, LinearFlow("f").add(look))
    with pytest.raises(InputsChanged):
        engines.load(LinearFlow("f").add(look), {"password": Secret.from_env("OTHER")}, backend=backend, run_id="r")


def test_a_result_with_the_text_in_clear_fails_its_atom(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)

    @task(provides="address")
    def leak(password: Secret) -> dict[str, str]:
        return {"url": f"db://me@host/?x={password.reveal()}"}

    with pytest.raises(EncodeError, match="result of 'leak': it holds the text of a secret in clear"):
        engines.run(LinearFlow("f").add(leak), {"password": Secret.from_env("CANARY")}, backend=backend, run_id="r")
    assert CANARY not in _records(backend)


def test_an_input_with_the_text_in_clear_is_refused(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    store = {"password": Secret.from_env("CANARY"), "again": f"it is {CANARY}"}
    with pytest.raises(EncodeError, match="input 'again'"):
        engines.run(LinearFlow("f").add(ask), store, backend=backend, run_id="r")
    with pytest.raises(NotFound):
        backend.load("r")


def test_nothing_that_is_told_of_a_failure_holds_a_secret(
    backend: Backend, key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    caplog.set_level(logging.DEBUG)
    printed = io.StringIO()
    engine = engines.load(_leaking(), {"password": Secret.from_env("CANARY")}, backend=backend, run_id="r")
    notices = _listened(engine, printed)
    listeners = LoggingListener(engine), DynamicLoggingListener(engine), PrintingListener(engine, printed)
    with pytest.raises(RuntimeError), listeners[0], listeners[1], listeners[2]:
        engine.run()
    failure = engine.storage.get_failures()["leak"]
    told = [
        repr(notices),
        caplog.text,
        printed.getvalue(),
        _records(backend),
        json.dumps(run_document(view_run(backend, "r"))),
        repr([failure, failure.exception_args, failure.pformat(traceback=True), failure.to_dict(), *failure.causes]),
        repr(engine.storage.get_metadata("leak")),
    ]
    assert [text for text in told if "Canary" in text or "0815" in text] == []
    assert all("***" in text for text in told[1:])


def _leaking() -> Flow:
    @task
    def leak(password: Secret) -> None:
        text = password.reveal()
        current().annotate(step=f"log in with {text}", seen=[text])
        logging.getLogger("flowbook").warning("nothing of it here")
        try:
            raise KeyError(text, {"deep": [text.encode()]})
        except KeyError as error:
            raise RuntimeError(f"cannot use {text}", [text], Secret(text)) from error

    return LinearFlow("leaky").add(leak)


def _listened(engine: Engine, printed: io.StringIO) -> list[Notice]:
    """Return the notices that come; what hears of a failure raises another one with the secret."""
    notices: list[Notice] = []

    def hear(notice: Notice) -> None:
        notices.append(notice)
        if notice.state == "FAILURE":
            raise ValueError(f"cannot hear {CANARY}")

    engine.atom_notifier.register("*", hear)
    return notices


def test_errors_have_their_four_parts() -> None:
    errors: list[UsageError] = [
        SecretMissing("environment variable X", "is not set", "set X", "input 'a'"),
        SecretKeyMissing("opened", "there is no key", "set it", "input 'a'"),
    ]
    for error in errors:
        assert "input 'a'" in str(error)
        assert error.why
        assert error.todo


def make(address: str) -> Flow:
    """Return a flow that somebody wants to connect."""
    return LinearFlow(address)


def test_a_factory_is_not_recorded_with_a_secret_in_clear() -> None:
    secret = Secret(CANARY)
    with pytest.raises(EncodeError, match=r"the arguments of factory .*make: it holds the text of a secret"):
        engines.load_from_factory(make, [f"db://{secret.reveal()}@host"])
