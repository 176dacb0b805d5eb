"""Plug-ins are found, and an error about one says whose it is."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from flowbook.exceptions import UnknownPlugin
from flowbook.plugins import ExtraMissing, Plugin, installed_plugins, load_plugin

GROUP = "flowbook.test_plugins"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose plug-ins ``broken`` and ``extra`` cannot be imported, the latter without an extra."""
    info = tmp_path / "acme_store-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.5\n")
    points = "broken = no_such_module_of_acme:Store\nextra = no_such_module_of_acme:Store [driver]\nwhole = json:loads"
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # stevedore remembers what it has seen


@pytest.mark.usefixtures("installed")
def test_a_broken_plug_in_names_the_package_that_it_belongs_to() -> None:
    assert [point.name for point in metadata.entry_points(group=GROUP)] == ["broken", "extra", "whole"]
    with pytest.raises(UnknownPlugin) as caught:
        load_plugin(GROUP, "broken")
    assert "ModuleNotFoundError: No module named 'no_such_module_of_acme'" in caught.value.why
    assert "acme-store 1.5" in caught.value.todo
    assert "flowbook[" not in caught.value.todo
    assert caught.value.known == ("extra", "whole")
    assert not isinstance(caught.value, ExtraMissing)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.usefixtures("installed")
def test_a_plug_in_without_its_extra_says_in_one_line_what_installs_it() -> None:
    with pytest.raises(ExtraMissing) as caught:
        load_plugin(GROUP, "extra")
    assert str(caught.value) == "extra needs: pip install 'acme-store[driver]'"
    assert caught.value.todo == "pip install 'acme-store[driver]'"
    assert "No module named 'no_such_module_of_acme'" in caught.value.why


@pytest.mark.usefixtures("installed")
def test_all_that_is_installed_is_listed_with_its_package_and_its_error() -> None:
    plugins = list(installed_plugins())
    error = "ModuleNotFoundError: No module named 'no_such_module_of_acme'"
    value = "no_such_module_of_acme:Store"
    assert [plugin for plugin in plugins if plugin.group == GROUP] == [
        Plugin(GROUP, "broken", value, "acme-store", "1.5", error),
        Plugin(GROUP, "extra", f"{value} [driver]", "acme-store", "1.5", error, "pip install 'acme-store[driver]'"),
        Plugin(GROUP, "whole", "json:loads", "acme-store", "1.5"),
    ]
    ours = {(plugin.group, plugin.name): plugin.error for plugin in plugins if plugin.package == "flowbook"}
    assert ours["flowbook.persistence", "sqlite"] == ""
    assert [(plugin.group, plugin.name) for plugin in plugins] == sorted((one.group, one.name) for one in plugins)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("package", "needs"), [("click", ""), ("acme-driver", "pip install 'acme-store[driver]'")])
def test_a_plug_in_that_loads_without_its_extra_is_told_to_need_it(tmp_path: Path, package: str, needs: str) -> None:
    info = tmp_path / "acme_store-1.5.dist-info"
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nlazy = json:loads [driver]\n")
    with (info / "METADATA").open("a") as file:
        file.write(f'Provides-Extra: driver\nRequires-Dist: {package}[all]>=1; extra == "driver"\n')
    (plugin,) = (plugin for plugin in installed_plugins() if plugin.group == GROUP)
    assert (plugin.error, plugin.needs) == ("", needs)


def test_a_plug_in_that_nobody_brings_names_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match="installed are parallel, serial") as caught:
        load_plugin("flowbook.engines", "paralel")
    assert caught.value.todo == "did you mean 'parallel'?"
