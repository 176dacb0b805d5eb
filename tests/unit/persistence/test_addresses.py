"""Where a server is and who we are: passwords are shown nowhere, and what is wrong is named soon."""

from __future__ import annotations

import logging
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crash.sql_storages import KINDS, Storage, server_of, storage_on
from daemons.process import LOOPBACK, free_port
from flowbook.exceptions import FlowbookError, NotPossible, StorageUnavailable
from flowbook.persistence import Backend, fetch
from flowbook.persistence.options import Options
from flowbook.persistence.sql.addresses import Address, address_of
from flowbook.testing.backend_samples import begin

CANARY = "Canary-7f3a"
SOON_S = 5.0


def address(conf: str | dict[str, object]) -> Address:
    return address_of(Options(conf), port=1234)


def test_an_address_has_its_parts() -> None:
    found = address("postgresql://ann:a%40b@db.example:99/runs?schema=s")
    assert found == Address("db.example", 99, "ann", "runs", "a@b")
    assert address("mysql:///runs") == Address("localhost", 1234, "", "runs", None)


def test_a_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS_PASSWORD", CANARY)
    assert address("mysql://ann:${RUNS_PASSWORD}@h/runs").password == CANARY


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{CANARY}\r\nand a remark\n")
    assert address({"connection": "mysql://ann@h/runs", "password_file": file}).password == CANARY


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ("mysql://ann:${NO_SUCH_VARIABLE}@h/runs", "NO_SUCH_VARIABLE is not set"),
        ({"connection": "mysql://ann@h/runs", "password_file": "/no/such/file"}, "/no/such/file"),
        ("mysql://ann@h", "no database is named"),
        ("mysql://ann@h:port/runs", "no address"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(conf: str | dict[str, object], says: str) -> None:
    with pytest.raises(NotPossible) as caught:
        address(conf)
    assert says in str(caught.value)
    assert caught.value.where
    assert caught.value.todo


def told(error: BaseException) -> str:
    """Return all that is told of an error: by itself, by its causes and by their tracebacks."""
    parts = [repr(error), *traceback.format_exception(error)]
    if isinstance(error, FlowbookError):
        parts += [error.where, error.why, error.todo]
    return "\n".join(parts)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "rest",
    [
        f"ann:{CANARY}@h:port/runs",
        f"ann:{CANARY}@h:99999999/runs",
        f"ann:{CANARY}/{CANARY}@h/runs",
        f"ann:{CANARY}@{CANARY}@h",
        f"ann:{CANARY}@h/runs?no_such_option=1",
        f"ann:{CANARY}@h/runs?timeout_s=soon",
        f"ann:{CANARY}@127.0.0.1:1/runs",
        f"ann:{CANARY}#{CANARY}@127.0.0.1:1/runs",
    ],
)
def test_a_password_is_told_by_no_error(scheme: str, rest: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(FlowbookError) as caught:
        fetch(f"{scheme}://{rest}").open()
    assert CANARY not in told(caught.value)
    assert CANARY not in caplog.text


# -- on real servers --


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


def everything_shown(backend: Any) -> str:
    parts = (backend, backend._database, backend._database._engine, backend._database.__dict__.get("url"), backend.url)
    return "\n".join(map(repr, parts))


def other(storage: Storage, **parts: str) -> Backend:
    """Return a backend that names another user, host, port or database."""
    address, _, query = storage.url.partition("?")
    known = {"user": "ann", "host": LOOPBACK, "port": str(storage.port), "database": address.rpartition("/")[2]}
    user, host, port, database = {**known, **parts}.values()
    return fetch(f"{address.partition(':')[0]}://{user}:{CANARY}@{host}:{port}/{database}?{query}")


WRONG = {
    "user": ({"user": "no_such_user"}, "no_such_user"),
    "host": ({"user": "root", "host": "no-such-host.invalid"}, "no-such-host"),
    "port": ({"user": "root", "port": str(free_port())}, "refused"),
    "database": ({"database": "no_such_database"}, "no_such_database"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_soon(what: str, storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    parts, says = WRONG[what]
    if what == "database":
        parts = {**parts, "user": "postgres" if storage.kind == "postgresql" else "root:@"}
    backend = other(storage, **parts) if "root:@" not in parts.values() else _of_root(storage, parts["database"])
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG), closing(backend), pytest.raises(StorageUnavailable) as caught:
        backend.open()
    assert time.monotonic() - began < SOON_S
    assert says in caught.value.why
    assert caught.value.where == backend.url
    assert caught.value.todo
    assert CANARY not in told(caught.value) + caplog.text + everything_shown(backend)


def _of_root(storage: Storage, database: str) -> Backend:
    return fetch(storage.url.replace(storage.url.partition("?")[0].rpartition("/")[2], database))


def _refuse_adam(storage: Storage, request: pytest.FixtureRequest) -> str:
    """Make a user whose password is another one; return what the server says to that."""
    if storage.kind == "mariadb":
        storage.ask("CREATE OR REPLACE USER adam IDENTIFIED BY 'something else'")
        return "Access denied"
    storage.ask("CREATE ROLE adam LOGIN PASSWORD 'something else'")
    rules = server_of(storage.kind, request).folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all adam {LOOPBACK}/32 scram-sha-256\n{rules.read_text()}")
    storage.ask("SELECT pg_reload_conf()")
    deadline = time.monotonic() + SOON_S
    while "adam" not in str(storage.ask("SELECT user_name FROM pg_hba_file_rules")) or _is_trusted(storage):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return "password authentication failed"


def _is_trusted(storage: Storage) -> bool:
    """Return whether the server still lets anybody in."""
    try:
        psycopg.connect(host=LOOPBACK, port=storage.port, user="adam", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_wrong_password_is_named_and_not_shown(
    storage: Storage, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    says = _refuse_adam(storage, request)
    backend = other(storage, user="adam")
    with caplog.at_level(logging.DEBUG), closing(backend), pytest.raises(StorageUnavailable) as caught:
        backend.open()
    assert says in caught.value.why
    assert CANARY not in told(caught.value) + caplog.text + everything_shown(backend)


def test_a_password_that_is_right_is_shown_nowhere(
    storage: Storage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if storage.kind == "postgresql":
        storage.ask("DO $$ BEGIN CREATE ROLE eve LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$")
    else:
        storage.ask(f"CREATE OR REPLACE USER eve IDENTIFIED BY '{CANARY}'")
        storage.ask("GRANT ALL ON *.* TO eve")
    monkeypatch.setenv("RUNS_PASSWORD", CANARY)
    address, _, query = storage.url.partition("?")
    where = address.rpartition("@")[2]
    backend = fetch(f"{address.partition(':')[0]}://eve:${{RUNS_PASSWORD}}@{where}?{query}")
    with caplog.at_level(logging.DEBUG), backend:
        begin(backend)
        with pytest.raises(FlowbookError) as caught:
            begin(backend, "f" * 5000 if storage.kind == "mariadb" else "\n".join(map(str, range(5000))))
    assert CANARY not in told(caught.value) + caplog.text + everything_shown(backend)
