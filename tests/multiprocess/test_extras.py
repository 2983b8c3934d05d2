"""Commands whose extra is not installed print one line and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import kju
from kju import extras
from kju.memory import SurfaceProducer

HIDING = Path(__file__).resolve().parents[1] / "support" / "hide_packages"
REMOTE = [
    ("serve", "x"),
    ("serve", "--all"),
    ("router",),
    ("mirror", "zenoh:lab/x"),
    ("mirror", "zenoh:lab/x", "--lossy"),
    ("ls", "--remote"),
    ("cert", "authority"),
    ("cert", "host"),
    ("cert", "user", "ann", "-o", "ann.key"),
    ("cert", "take", "any.key"),
    ("cert", "show"),
    ("trust",),
    ("trust", "ann", "--role", "view"),
    ("demo", "--remote"),
]


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Return a function that runs a command with packages hidden."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "any.key").write_bytes(b"any")
    package = str(Path(kju.__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HIDING), package]))

    def run(hidden, *words):
        return subprocess.run(
            [sys.executable, "-m", "kju.cli", *words],
            capture_output=True, text=True, timeout=60, check=False,
            env=os.environ | {"KJU_HIDE": ",".join(hidden)},
        )  # fmt: skip

    return run


def check(done, name):
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("kju: ")
    assert line.endswith(f"install with: {extras.install_command(name)}")


def test_hidden_packages_cannot_be_imported(without):
    done = subprocess.run(
        [sys.executable, "-c", "import zenoh"],
        capture_output=True, check=False, env=os.environ | {"KJU_HIDE": "zenoh"},
    )  # fmt: skip
    assert b"ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("words", REMOTE, ids=" ".join)
def test_network_commands_without_their_extra_name_it(without, words):
    hidden = extras.EXTRAS["remote"].modules | extras.EXTRAS["remote"].others
    check(without(hidden, *words), "remote")


@pytest.mark.parametrize("module", list(extras.EXTRAS["remote"].modules))
@pytest.mark.parametrize("words", [("serve", "--all"), ("router",), ("ls", "--remote")])
def test_network_commands_without_one_package_name_it(without, words, module):
    check(without([module], *words), "remote")


def test_view_without_qt_names_the_extra(without):
    check(without(["PySide6"], "view", "x"), "desktop")


def test_wait_for_an_image_without_opencv_names_the_extra(without, tmp_path):
    Image.new("RGB", (8, 8), "red").save("red.png")
    with SurfaceProducer.create(tmp_path / "s.kju", capacity=1 << 20) as producer:
        producer.set_mode(64, 48)
        done = without(["cv2"], "wait", "./s.kju", "--image", "red.png", "--timeout", "5")
    check(done, "image")


def test_doctor_lists_every_extra(without):
    missing = without(["PySide6", "zenoh"], "doctor", "--json")
    found = {f["check"]: f for f in json.loads(missing.stdout)}
    for extra in extras.EXTRAS.values():
        finding = found[f"extra {extra.name}"]
        assert extra.enables in finding["details"]
        is_missing = extra.name in ("desktop", "remote") or bool(
            extras.missing_packages(extra.name)
        )
        assert finding["passed"] is (None if is_missing else True)
        command = extras.install_command(extra.name)
        assert (command in finding["details"]) is is_missing


def test_environments_without_gymnasium_name_the_extra(without):
    done = subprocess.run(
        [sys.executable, "-c", "import kju.gym"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"KJU_HIDE": "gymnasium"},
    )  # fmt: skip
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert line.endswith(f"kju.gym needs Gymnasium; install with: {extras.install_command('gym')}")


def test_fleets_without_ray_name_the_extra(without):
    done = subprocess.run(
        [sys.executable, "-c", "import kju.fleet; kju.fleet.open()"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"KJU_HIDE": "ray"},
    )  # fmt: skip
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert line.endswith(f"a fleet needs Ray; install with: {extras.install_command('fleet')}")
