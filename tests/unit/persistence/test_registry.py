"""Backends are found by URL, and options mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from flowbook.exceptions import NotPossible, UnknownPlugin, WrongType
from flowbook.persistence import Backend, fetch, hide_secrets
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.options import Options, scheme_of
from flowbook.persistence.registry import as_backend
from flowbook.persistence.sql.backend import SqliteBackend


@pytest.mark.parametrize("conf", ["memory:", "memory://", "memory", {"connection": "memory"}, "MEMORY:"])
def test_memory_is_found(conf: str | Mapping[str, object]) -> None:
    assert isinstance(fetch(conf), MemoryBackend)


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_sqlite_is_found_with_and_without_its_driver(scheme: str, tmp_path: Path) -> None:
    assert isinstance(fetch(f"{scheme}:///{tmp_path}/runs.db"), SqliteBackend)


def test_each_fetch_of_memory_is_a_storage_of_its_own() -> None:
    assert fetch("memory:") is not fetch("memory:")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://flow@host/runs", "PostgresqlBackend"),
        ("postgres://flow@host/runs", "PostgresqlBackend"),
        ("postgresql+psycopg://flow@host/runs", "PostgresqlBackend"),
        ("mysql://flow@host/runs", "MysqlBackend"),
        ("mariadb://flow@host/runs", "MysqlBackend"),
        ("zk://host/runs", "ZookeeperBackend"),
    ],
)
def test_servers_are_found_by_their_schemes_without_being_asked_anything(url: str, kind: str) -> None:
    assert type(fetch(url)).__name__ == kind


def test_a_scheme_with_a_slip_names_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match=r"memory.*sqlite") as caught:
        fetch("sqllite:///runs.db")
    assert caught.value.todo == "did you mean 'sqlite'?"


def test_what_is_no_url_is_refused() -> None:
    number: object = 5
    with pytest.raises(WrongType):
        fetch(number)  # type: ignore[arg-type]
    with pytest.raises(NotPossible):
        fetch({"url": "memory:"})


@pytest.mark.parametrize("path", ["runs.db", "/var/lib/runs.db", "some where"])
def test_a_path_in_place_of_a_url_gets_the_url_as_a_hint(path: str) -> None:
    with pytest.raises(NotPossible) as caught:
        fetch(path)
    assert caught.value.todo == f"did you mean sqlite:///{path}?"
    given: object = Path(path)
    for find in (fetch, as_backend):
        with pytest.raises(WrongType) as refused:
            find(given)  # type: ignore[arg-type]
        assert refused.value.todo == f"did you mean 'sqlite:///{path}'?"


def test_no_url_at_all_is_refused() -> None:
    with pytest.raises(NotPossible, match="no URL"):
        fetch("")


def test_a_word_that_is_nearly_a_scheme_gets_the_scheme_as_a_hint() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        fetch("memry")
    assert caught.value.todo == "did you mean 'memory'?"


def test_a_backend_is_taken_as_it_is_and_a_url_is_fetched() -> None:
    backend = fetch("memory:")
    assert as_backend(backend) is backend
    assert isinstance(as_backend("memory:"), MemoryBackend)
    assert isinstance(as_backend({"connection": "memory:"}), MemoryBackend)


@pytest.mark.parametrize("given", [5, None, object(), MemoryBackend, b"memory:"], ids=lambda it: type(it).__name__)
def test_what_is_no_backend_is_refused(given: object) -> None:
    with pytest.raises(WrongType, match="is not a backend, a URL or a mapping"):
        as_backend(given)


def test_a_backend_without_one_of_the_verbs_cannot_be_made() -> None:
    class Forgetful(MemoryBackend):
        destroy = Backend.destroy

    with pytest.raises(TypeError, match="destroy"):
        Forgetful()


@pytest.mark.parametrize("word", ["False", "false", "0", "no", "off", False, 0])
def test_false_is_false_in_every_spelling(word: object) -> None:
    assert fetch({"connection": "memory:", "strict": word}).keeps_references
    assert fetch(f"memory:?strict={word}").keeps_references


@pytest.mark.parametrize("word", ["True", "true", "1", "yes", "on", True, 1])
def test_true_is_true_in_every_spelling(word: object) -> None:
    assert not fetch({"connection": "memory:", "strict": word}).keeps_references


@pytest.mark.parametrize(
    "url",
    [
        "memory:?strict=perhaps",
        "memory:?strict=",
        "memory:?strict=yes&value_limit_bytes=-1",
        "memory:?strict=yes&value_limit_bytes=1.5",
        "memory:?strict=yes&value_limit_bytes=\N{SUPERSCRIPT TWO}",
        "memory:?value_limit_bytes=10",
        "memory:///somewhere",
        "sqlite:///runs.db?timeout_s=soon",
        "sqlite:///runs.db?timeout_s=-1",
        "sqlite:///runs.db?timeout_s=nan",
        "sqlite:///runs.db?timeout_s=inf",
        "sqlite:///runs.db?journal=off",
    ],
)
def test_an_option_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(NotPossible):
        fetch(url)


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(NotPossible, match="jurnal") as caught:
        fetch("sqlite:///runs.db?jurnal=delete")
    assert caught.value.todo == "did you mean 'journal'?"


def test_an_unknown_option_that_resembles_none_names_all() -> None:
    with pytest.raises(NotPossible) as caught:
        fetch({"connection": "memory:", "zzz": 1})
    assert caught.value.todo == "the options are strict, value_limit_bytes"


def test_an_option_in_the_mapping_wins_over_the_urls() -> None:
    options = Options({"connection": "x:?size=1", "size": 2})
    assert options.size("size", default=None) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///runs.db?journal=delete", "sqlite:///runs.db?journal=delete"),
        ("postgresql://me:hush@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:h@u/s?h@host/db", "postgresql://me:***@host/db"),
        ("redis://:hush@host", "redis://:***@host"),
        ("postgresql://host/db?user=me&Password=hush&x=1", "postgresql://host/db?user=me&Password=***&x=1"),
        ("s3://bucket?secret_access_key=hush", "s3://bucket?secret_access_key=***"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
    ],
)
def test_secrets_are_hidden(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown


def test_errors_about_a_url_hide_its_secrets() -> None:
    with pytest.raises(NotPossible) as caught:
        fetch("sqlite://me:hush@host/runs.db?password=hush")
    assert "hush" not in f"{caught.value}{caught.value.where}{caught.value.todo}{caught.value!r}"


def test_the_scheme_ends_at_a_plus_or_a_colon() -> None:
    assert [scheme_of(url) for url in ("SQLite+x:///a", "memory", "zk://h")] == ["sqlite", "memory", "zk"]
