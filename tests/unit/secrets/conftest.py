"""What tests of secrets share: no text is known that another test has seen, and no key is there."""

from __future__ import annotations

import pytest

from flowbook.secrets import masking, new_key, sealing


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", {})
    monkeypatch.delenv(sealing.KEYS, raising=False)
    monkeypatch.delenv(sealing.KEY_FILE, raising=False)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the key that there is."""
    key = new_key()
    monkeypatch.setenv(sealing.KEYS, key)
    return key
