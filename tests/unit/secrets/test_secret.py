"""The value object: it shows nothing, is stored as a reference or sealed, and says what it lacks."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowbook.exceptions import Damaged, EncodeError, NotPossible, UsageError, WrongType
from flowbook.persistence import codec
from flowbook.secrets import Secret, SecretKeyMissing, SecretMissing, masked, new_key, sealing

TEXT = "Canary-0815-secret"


@dataclass
class Account:
    """Holds a secret among other things."""

    user: str
    password: Secret


def test_it_shows_nothing_of_itself(key: str) -> None:
    for secret in (Secret(TEXT), Secret.from_env("X"), codec.decode(codec.encode(Secret(TEXT)))):
        account = Account("me", Secret(TEXT))
        shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>5}", f"{secret:5}", "%s" % secret, repr(account)]  # noqa: UP031
        assert all("***" in text and TEXT not in text for text in shown)
        assert not hasattr(secret, "__dict__")


def test_it_equals_secrets_and_no_texts(key: str) -> None:
    stored = codec.decode(codec.encode(Secret(TEXT)))
    assert Secret(TEXT) == Secret(TEXT) == stored != Secret("another one")
    assert hash(Secret(TEXT)) == hash(stored)
    assert Secret.from_env("X") == Secret.from_env("X") != Secret.from_env("Y")
    assert Secret(TEXT) != TEXT
    assert Secret.from_env("X") != Secret.from_file("X")


def test_copies_are_itself() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_variable_is_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret.from_env("CANARY")
    monkeypatch.setenv("CANARY", TEXT)
    assert secret.reveal() == TEXT
    monkeypatch.setenv("CANARY", "changed-since")
    assert secret.reveal() == "changed-since"
    assert masked(f"{TEXT} changed-since") == "*** ***"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_gives_its_text_without_the_end_of_its_last_line(tmp_path: Path, end: str) -> None:
    (tmp_path / "password").write_bytes(f" {TEXT}\nsecond ".encode() + end.encode())
    assert Secret.from_file(tmp_path / "password").reveal() == f" {TEXT}\nsecond "


def test_a_file_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    secret = Secret.from_file("password")
    monkeypatch.chdir("/")
    assert secret.reveal() == TEXT


def test_a_keyring_is_asked_by_service_and_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    _install_keyring(monkeypatch, {("https://shop/api", "me"): TEXT})
    assert Secret.from_keyring("https://shop/api", "me").reveal() == TEXT
    with pytest.raises(SecretMissing, match="keyring entry 'you' of 'https://shop/api' does not exist") as caught:
        Secret.from_keyring("https://shop/api", "you").reveal()
    assert caught.value.todo == "keyring set https://shop/api you"


def test_a_keyring_that_fails_is_told_of_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    _install_keyring(monkeypatch, {})
    monkeypatch.setattr(sys.modules["keyring"], "get_password", lambda service, entry: 1 / 0)
    with pytest.raises(SecretMissing, match="cannot be read: ZeroDivisionError"):
        Secret.from_keyring("shop", "me").reveal()


def test_without_the_package_a_keyring_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SecretMissing, match="needs the package keyring") as caught:
        Secret.from_keyring("shop", "me").reveal()
    assert caught.value.todo == "pip install keyring"


def _install_keyring(monkeypatch: pytest.MonkeyPatch, entries: dict[tuple[str, str], str]) -> None:
    """Put a keyring in place of the system's, which no test may touch."""
    module = types.ModuleType("keyring")
    monkeypatch.setattr(module, "get_password", lambda service, entry: entries.get((service, entry)), raising=False)
    monkeypatch.setitem(sys.modules, "keyring", module)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret.from_env("NOT_SET_ANYWHERE"), "environment variable NOT_SET_ANYWHERE is not set"),
        (Secret.from_file("/not/there"), "file /not/there cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_there_is_named_with_what_to_do(secret: Secret, words: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        secret.reveal()
    assert words in str(caught.value)
    assert caught.value.why == words
    assert caught.value.todo


def test_empty_places_count_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for secret, why in (
        (Secret.from_env("CANARY"), "is empty"),
        (Secret.from_file(tmp_path / "empty"), "is empty"),
        (Secret.from_file(tmp_path / "bytes"), "it is no text in UTF-8"),
    ):
        with pytest.raises(SecretMissing, match=why):
            secret.reveal()


@pytest.mark.parametrize("secret", [Secret.from_env("A"), Secret.from_file("/a"), Secret.from_keyring("s", "n")])
def test_references_are_stored_as_they_are_and_nothing_is_looked_up(secret: Secret) -> None:
    text = codec.encode({"x": [secret]})
    assert codec.decode(text) == {"x": [secret]}
    assert set(json.loads(text)["x"][0]["!secret"]) < {"env", "file", "keyring"}


def test_a_text_is_stored_sealed(key: str) -> None:
    text = codec.encode(Account("me", Secret(TEXT)))
    assert TEXT not in text
    found = codec.decode(text)
    assert isinstance(found, Account)
    assert found.password.reveal() == TEXT
    assert codec.encode(found) == text  # what nobody has opened is passed on as it is


def test_texts_of_any_characters_can_be_sealed(key: str) -> None:
    for text in ("\N{SNOWMAN}\n\0", "\ud800", "x" * 10_000):
        found = codec.decode(codec.encode(Secret(text)))
        assert isinstance(found, Secret)
        assert found.reveal() == text


def test_a_new_key_goes_before_the_old_one(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = codec.encode(Secret(TEXT))
    newer = new_key()
    monkeypatch.setenv(sealing.KEYS, f"{newer}, {key}")
    new = codec.encode(Secret(TEXT))
    assert _opened(old) == _opened(new) == TEXT
    monkeypatch.setenv(sealing.KEYS, newer)
    assert _opened(new) == TEXT
    with pytest.raises(SecretKeyMissing, match="none of the keys in FLOWBOOK_SECRET_KEYS opens it"):
        _opened(old)


def test_keys_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text(f"{new_key()}\n{new_key()}\n", encoding="utf-8")
    monkeypatch.setenv(sealing.KEY_FILE, str(tmp_path / "keys"))
    assert _opened(codec.encode(Secret(TEXT))) == TEXT


def _opened(text: str) -> str:
    secret = codec.decode(text)
    assert isinstance(secret, Secret)
    return secret.reveal()


def test_a_file_of_keys_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sealing.KEY_FILE, str(tmp_path / "gone"))
    with pytest.raises(SecretKeyMissing, match=r"FLOWBOOK_SECRET_KEY_FILE is '.*gone', which cannot be read: No such"):
        sealing.seal(TEXT)


def test_a_key_that_is_none_is_told_by_its_number_alone(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sealing.KEYS, f"{key},not-a-key-at-all")
    with pytest.raises(SecretKeyMissing, match="key 2 of 2 in FLOWBOOK_SECRET_KEYS is no key") as caught:
        sealing.seal(TEXT)
    assert "not-a-key-at-all" not in repr(caught.value.__cause__) + str(caught.value)


def test_without_a_key_a_text_has_no_stored_form() -> None:
    with pytest.raises(EncodeError, match=r"result\['x'\]: a secret cannot be stored: .*new_key") as caught:
        codec.encode({"x": Secret(TEXT)})
    assert TEXT not in str(caught.value)


def test_without_the_package_the_extra_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(SecretKeyMissing, match="the package cryptography is not installed") as caught:
        sealing.seal(TEXT)
    assert caught.value.todo == "pip install 'flowbook[secrets]'"
    with pytest.raises(SecretKeyMissing, match="a key cannot be made: the package cryptography is not installed"):
        new_key()


def test_it_is_pickled_as_it_is_stored(key: str) -> None:
    for secret in (Secret.from_env("X"), Secret(TEXT)):
        data = pickle.dumps(secret)
        assert TEXT.encode() not in data
        assert pickle.loads(data) == secret


def test_a_text_is_not_pickled_without_a_key() -> None:
    with pytest.raises(SecretKeyMissing):
        pickle.dumps(Secret(TEXT))


@pytest.mark.parametrize(
    "text",
    ['{"!secret":{}}', '{"!secret":{"env":1}}', '{"!secret":{"env":"A","file":"B"}}', '{"!secret":"x"}'],
)
def test_what_is_no_secret_is_damaged(text: str) -> None:
    with pytest.raises(Damaged):
        codec.decode(text)


def test_what_was_altered_is_not_opened(key: str) -> None:
    token = sealing.seal(TEXT)
    with pytest.raises(SecretKeyMissing, match="or what is stored was altered"):
        sealing.opened(token[:-10] + "AAAAAAAAAA")


def test_errors_survive_pickling() -> None:
    errors: list[UsageError] = [SecretMissing("p", "w", "t", "x"), SecretKeyMissing("d", "w", "t", "x")]
    for error in errors:
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_is_no_text_is_refused_and_not_shown() -> None:
    with pytest.raises(WrongType) as caught:
        Secret(b"Canary-bytes")  # type: ignore[arg-type]
    assert "Canary" not in str(caught.value)
    with pytest.raises(NotPossible):
        Secret("")
    with pytest.raises(NotPossible):
        Secret.from_env("")
    with pytest.raises(NotPossible):
        Secret.from_keyring("s", "a/b")
