"""Plug-ins are found, and an error about one says whose it is."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from flowbook.exceptions import UnknownPlugin
from flowbook.plugins import load_plugin

GROUP = "flowbook.test_plugins"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose plug-in ``broken`` cannot be imported."""
    info = tmp_path / "acme_store-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = no_such_module_of_acme:Store\nwhole = json:loads\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # stevedore remembers what it has seen


@pytest.mark.usefixtures("installed")
def test_a_broken_plug_in_names_the_package_that_it_belongs_to() -> None:
    assert [point.name for point in metadata.entry_points(group=GROUP)] == ["broken", "whole"]
    with pytest.raises(UnknownPlugin) as caught:
        load_plugin(GROUP, "broken")
    assert "ModuleNotFoundError: No module named 'no_such_module_of_acme'" in caught.value.why
    assert "acme-store 1.5" in caught.value.todo
    assert "flowbook[" not in caught.value.todo
    assert caught.value.known == ("whole",)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_plug_in_that_is_still_to_come_says_what_there_is_now() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        load_plugin("flowbook.engines", "workers", later={"workers": "serial, parallel"})
    assert "later version" in caught.value.why
    assert caught.value.todo == "now: serial, parallel"


def test_a_plug_in_that_nobody_brings_names_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match="installed are parallel, serial") as caught:
        load_plugin("flowbook.engines", "paralel")
    assert caught.value.todo == "did you mean 'parallel'?"
