"""tools/setup, ./demo and ./check: help without installing, extras, no package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from support.apt_root import REFUSING, REPOSITORY

from kju.cli.app import ENTRIES, load


def run(checkout: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the checkout without this computer's own settings of pip."""
    environment = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("PIP_") and "proxy" not in name.lower()
    }
    return subprocess.run(
        words, cwd=checkout, env=environment | settings, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize(
    "words",
    [("./demo", "--help"), ("./demo", "--guest", "x", "-h"), ("./check", "--help"),
     ("./check", "-h"), ("./check", "--list"), ("tools/setup", "--help")],
    ids=" ".join,
)  # fmt: skip
def test_help_installs_nothing(checkout, words):
    done = run(checkout, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) > 5
    assert not (checkout / "build").exists()
    assert not (checkout / ".venv").exists()


def test_help_of_demo_names_every_option(checkout):
    text = run(checkout, "./demo", "--help").stdout
    command = load(ENTRIES["demo"])
    wanted = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)) == {
        option for option in wanted | {"--help"} if option.startswith("--")
    }


def test_help_of_setup_lists_every_extra_with_its_use(checkout):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    listed = run(checkout, "tools/setup", "--help").stdout.partition("extras:\n")[2]
    found = re.findall(r"^  ([a-z]+) +(\S.*)$", listed, re.MULTILINE)
    assert [name for name, _ in found] == list(project["optional-dependencies"])


def test_setup_refuses_unknown_extra(checkout):
    done = run(checkout, "tools/setup", "desktop", "wayland")
    assert done.returncode == 1
    assert "no extra has the name wayland" in done.stderr
    assert not (checkout / "build").exists()


def requirements(installed: Path, *extras: str) -> list[str]:
    script = REPOSITORY / "tools" / "lib" / "requirements.py"
    done = subprocess.run(
        [sys.executable, script, installed, *extras], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_extra_keeps_those_installed_before(tmp_path):
    installed = tmp_path / "requirements.txt"
    desktop = requirements(installed, "desktop")
    installed.write_text("\n".join(desktop) + "\n")
    both = requirements(installed, "text")
    assert set(desktop) < set(both)
    assert any(line.startswith("tesserocr") for line in both)
    assert any(line.startswith("opencv") for line in both)  # text names the extra image
    # Another Python makes a new .venv.
    installed.write_text("\n".join(["# Python 3.0", *desktop[1:]]) + "\n")
    assert not any(line.startswith("PySide6") for line in requirements(installed, "text"))


def test_changed_requirement_replaces_the_recorded_one(tmp_path):
    installed = tmp_path / "requirements.txt"
    heading, *lines = requirements(installed)
    old = [re.sub(r"^numpy.*", "numpy>=1.0", line) for line in lines]
    installed.write_text("\n".join([heading, *old]) + "\n")
    assert requirements(installed) == [heading, *lines]


def no_packages_missing() -> bool:
    return bool(shutil.which("qemu-system-x86_64")) and Path("/boot/invaders.exec").exists()


@pytest.mark.skipif(not no_packages_missing(), reason="the demo's packages are not installed here")
def test_no_package_index_is_reported_and_leaves_no_venv(checkout):
    begun = time.monotonic()
    done = run(
        checkout, "tools/setup", https_proxy=REFUSING, http_proxy=REFUSING,
        PIP_CONFIG_FILE="/dev/null", PIP_NO_CACHE_DIR="1", PYTHON=sys.executable,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "failed: installing Python packages into .venv: no answer from the network" in done.stderr
    )
    assert len(done.stderr.splitlines()) <= 3
    assert not (checkout / ".venv").exists()
    assert "Connection refused" in done.stderr, f"after {time.monotonic() - begun:.0f} s"
