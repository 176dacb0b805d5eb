"""URLs of storages: what of them is shown, and what is refused before a driver can tell of it."""

from __future__ import annotations

import pytest

from flowbook.exceptions import NotPossible
from flowbook.persistence import fetch
from flowbook.persistence.options import Options


@pytest.mark.parametrize(
    "url",
    [
        "zookeeper://a:2181,b:2181?sasl_user=me@REALM",
        "zookeeper://127.0.0.1:2181?sasl_user=me@REALM",
        "zookeeper://[::1]:2181?sasl_user=me@REALM",
        "sqlite:///runs.db?user=a@b",
        "postgresql://me:word@host:5432/db?user=a@b",
        "postgresql://me@host:5432/db?user=a@b",
    ],
)
def test_an_at_in_an_option_is_no_password(url: str) -> None:
    assert Options(url).address == url.partition("?")[0]


@pytest.mark.parametrize("url", ["postgresql://me:can?ary@host/db", "zookeeper://me:1can?a=ary@host:2181"])
def test_a_question_mark_in_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(NotPossible) as caught:
        Options(url)
    told = f"{caught.value} {caught.value.where} {caught.value.todo}"
    assert "%3F" in told
    assert "can" not in told
    assert "ary" not in told


@pytest.mark.parametrize("url", ["postgresql://me:can@ary@host/db", "mysql://me:c/a@ary@host/db"])
def test_an_at_in_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(NotPossible, match="this address has two @") as caught:
        fetch(url)
    assert "%40" in caught.value.todo
    assert "ary" not in caught.value.where
