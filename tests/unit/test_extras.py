"""The table of extras, and the command that installs one."""

from __future__ import annotations

import json
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import kju
from kju import extras


def test_extras_are_those_of_the_package():
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert extras.EXTRAS.keys() <= project["optional-dependencies"].keys()


def test_a_checkout_names_its_own_tools_setup(monkeypatch, tmp_path):
    checkout = tmp_path / "my checkout"
    (checkout / "tools").mkdir(parents=True)
    (checkout / "tools" / "setup").touch()
    (checkout / "src" / "kju").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(checkout / ".venv"))
    monkeypatch.chdir(checkout)
    assert extras.install_command("desktop") == "tools/setup desktop"
    monkeypatch.chdir("/")
    assert shlex.split(extras.install_command("desktop")) == [
        f"{checkout}/tools/setup",
        "desktop",
    ]


@pytest.mark.parametrize(
    ("url", "requirement"),
    [(None, "kju[text]"), ("file:///home/ann/kju", "kju[text] @ file:///home/ann/kju")],
)
def test_pip_installs_from_the_same_source_as_kju(monkeypatch, tmp_path, url, requirement):
    class Distribution:
        def read_text(self, name):
            return url and json.dumps({"url": url, "dir_info": {}})

    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "lib" / "site" / "kju" / "extras.py"))
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution())
    words = shlex.split(extras.install_command("text"))
    assert words == [sys.executable, "-m", "pip", "install", requirement]


def test_a_failed_import_names_its_extra():
    error = extras.explain(ModuleNotFoundError("no", name="lz4.block"))
    assert str(error).startswith("this needs lz4; install with:")
    assert extras.explain(ModuleNotFoundError("no", name="kju.nothing")) is None


@pytest.mark.parametrize("name", ["fleet", "gym"])
def test_import_kju_is_enough_for_the_packages_of_extras(monkeypatch, name):
    monkeypatch.delattr(kju, name, raising=False)  # another test may have imported it
    assert getattr(kju, name) is import_module(f"kju.{name}")
