"""A backend of somebody else's: the package that the documentation shows is installed, found, used, and tested.

It is installed by hand from what its ``pyproject.toml`` says, since no network may be there, nor what builds packages;
where that is, it is built too, and the same comes of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from stevedore.extension import ExtensionManager

from acceptance.command_line import STEPS, TIMEOUT_S, Ended, environment
from doc.pages import blocks, text_of
from flowbook.cli.main import main

PAGE = "doc/howto/new-backend.rst"

BUILDS_BY_ITSELF = (70, 1)
"""The version of setuptools from which on it needs no other package to build one."""


def _files() -> dict[str, str]:
    """Return the files of the package, as the page shows them."""
    shown = list(blocks(text_of(PAGE)))
    (project,) = (block.text for block in shown if block.language == "toml")
    return {"pyproject.toml": project, **{block.caption: block.text for block in shown if block.caption}}


FILES = _files()
PROJECT: dict[str, Any] = tomllib.loads(FILES["pyproject.toml"])


def _points(groups: dict[str, dict[str, str]]) -> str:
    """Return entry points as an installed package has them."""
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
    )


def _install(folder: Path, name: str, version: str, points: str, modules: dict[str, str]) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")


class Installation:
    """A fresh virtual environment with this flowbook and its requirements in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._python = folder / "venv" / "bin" / "python"
        venv.create(folder / "venv", symlinks=True)
        (packages,) = (folder / "venv").glob("lib/python*/site-packages")
        self.packages = packages
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        ours = "".join(f"import site; site.addsitedir({path!r})\n" for path in paths)
        (packages / "ours.pth").write_text(ours, encoding="utf-8")
        taken = {name for name in os.environ if name.startswith("PYTHON")}
        own = environment(XDG_CACHE_HOME=str(folder / "cache"))  # stevedore remembers what it has seen
        self._environment = {name: value for name, value in own.items() if name not in taken}

    def python(self, *words: str) -> Ended:
        """Run its Python in the folder `folder` until it ends."""
        done = subprocess.run(
            [self._python, *words],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_the_package_of_the_page_is_installed_found_used_and_passes_the_suite(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    project, modules = PROJECT["project"], PROJECT["tool"]["setuptools"]["py-modules"]
    before = installation.python("-m", "flowbook", "list", "--backend", "dict:")
    assert before.code == 2
    assert before.err.startswith("error[FB105]: no flowbook.persistence is called 'dict'; installed are dir, memory,")

    _install(
        installation.packages,
        project["name"],
        project["version"],
        _points(project["entry-points"]),
        {module: FILES[f"{module}.py"] for module in modules},
    )
    listed = json.loads(installation.python("-m", "flowbook", "plugins", "--json").out)["plugins"]
    (found,) = (one for one in listed if (one["group"], one["name"]) == ("flowbook.persistence", "dict"))
    assert (found["package"], found["version"], found["error"]) == (project["name"], project["version"], "")

    (installation.folder / "steps.py").write_text(STEPS, encoding="utf-8")
    ran = installation.python("-m", "flowbook", "run", "steps.py::flow", "--backend", "dict:")
    assert (ran.code, ran.out) == (0, "a = 1\nb = 2\nc = 20\n")
    program = (
        "from flowbook import engines; from steps import flow; engine = engines.load(flow, backend='dict:');"
        "engine.run(); print(type(engine.storage.backend).__name__, engine.state)"
    )
    assert installation.python("-c", program).out == "DictBackend SUCCESS\n"

    (installation.folder / "test_dictbackend.py").write_text(FILES["test_dictbackend.py"], encoding="utf-8")
    tested = installation.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", ".")
    assert tested.code == 0, tested.out[-5000:]
    passed = re.search(r"(\d+) passed", tested.out)
    assert passed is not None
    assert int(passed[1]) > 100


def test_the_page_needs_one_entry_point_and_a_suite_of_at_most_15_lines() -> None:
    points = [name for group in PROJECT["project"]["entry-points"].values() for name in group]
    assert points == ["dict"]
    assert len(FILES["test_dictbackend.py"].splitlines()) <= 15


def _builds() -> bool:
    try:
        major, minor = metadata.version("setuptools").split(".")[:2]
        return (int(major), int(minor)) >= BUILDS_BY_ITSELF
    except metadata.PackageNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _builds(), reason="there is no setuptools here that builds packages")
def test_the_same_package_comes_out_when_it_is_built(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    program = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    with ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        modules = [name for name in wheel.namelist() if name.endswith(".py")]
        (points,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert modules == ["dictbackend.py"]
    assert points.strip() == _points(PROJECT["project"]["entry-points"]).strip()


BROKEN = """
from flowbook.persistence import Backend

class Lacks(Backend):
    def __init__(self, conf):
        pass

class Raises:
    def __init__(self, conf):
        raise ValueError(f"no such place: {conf['connection']}")

class NoVerbs:
    def __init__(self, conf):
        pass

def nothing(conf):
    return None
"""


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("acme_none:Store", "it cannot be loaded: ModuleNotFoundError: No module named 'acme_none'"),
        ("acme_slip:Store", "it cannot be loaded: SyntaxError: "),
        ("acme:Gone", "it cannot be loaded: AttributeError: module 'acme' has no attribute 'Gone'"),
        ("acme:Lacks", "it made no backend: TypeError: Can't instantiate abstract class Lacks "),
        ("acme:Raises", "it made no backend: ValueError: no such place: acme://me:***@host/x"),
        ("acme:NoVerbs", "it made no backend: NoVerbs has no claim, close, commit, "),
        ("acme:nothing", "it made no backend: NoneType has no claim, close, commit, "),
    ],
)
def test_a_package_that_is_broken_is_an_error_that_names_it(
    value: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = _points({"flowbook.persistence": {"acme": value}})
    _install(tmp_path, "acme-store", "1.5", points, {"acme": BROKEN, "acme_slip": "def ("})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})  # of this process, which has seen others
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    assert main(["list", "--backend", "acme://me:canary@host/x"]) == 2
    what, _, told, todo, more = capsys.readouterr().err.splitlines()
    assert what == "error[FB115]: the plug-in 'acme' of flowbook.persistence does not work"
    assert told.startswith(f"  why: {why}")
    assert todo == "  do: it belongs to acme-store 1.5: install what that needs, or install it again"
    assert more == "  more: flowbook explain FB115"
