"""A full disk below the app: the reason is shown, old files stay, nothing is half-written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app_process import AppProcess
from support.wait import until

from kju.client import launching
from kju.files import is_temporary

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]

NAME = "web"
SIZE = 48 << 20


@pytest.fixture
def disk(tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small file system for definitions, snapshots, settings, pictures and videos."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "kju-test", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setenv("HOME", str(place))
    for name in ("DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(place / name))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Use all space but a few pages."""
    filling = disk / "filling"
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * 4096 - 16384)
    return filling


def said(app: AppProcess, words: str) -> str:
    """Wait for a message of the status bar."""
    until(lambda: any(words in each for each in app.ask("said")), f"{words}: {app.ask('said')}")
    return next(each for each in app.ask("said") if words in each)


def noted(app: AppProcess, words: str) -> str:
    """Wait for a message on the picture."""
    until(lambda: words in app.ask("note", NAME), f"{words}: {app.ask('note', NAME)}")
    return str(app.ask("note", NAME))


def files(disk: Path) -> dict[str, bytes]:
    """Return all files but the disk of the machine."""
    found = (path for path in disk.rglob("*") if path.is_file() and path.suffix != ".qcow2")
    return {str(path): path.read_bytes() for path in found}


def test_full_disk_is_named_and_nothing_is_half_written(disk: Path, tmp_path: Path) -> None:
    app = AppProcess()
    try:
        launching.define(NAME, disk="64M", memory="16M")
        with launching.start(NAME) as machine:
            app.until_state(NAME, "running")
            app.ask("open", NAME)
            until(lambda: app.ask("console", NAME)["size"], what="the picture")
            app.ask("act", "SNAPSHOT", NAME, "base")
            said(app, f"{NAME} saved")
            before = files(disk)
            filling = fill(disk)

            app.ask("act", "SNAPSHOT", NAME, "late")
            failure = said(app, f"{NAME}: ")
            assert "full" in failure or "No space left" in failure, failure
            app.ask("save_screenshot", NAME)
            assert "No space left" in noted(app, "cannot save the screenshot")
            app.ask("record", NAME, str(disk / "video.mp4"))
            noted(app, "video.mp4 cannot be written: No space left on device")

            filling.unlink()
            assert [each.tag for each in machine.snapshots.list()] == ["base"]
            new = {name: data for name, data in files(disk).items() if data != before.get(name)}
            assert not [name for name in new if is_temporary(Path(name).name)]
            # What was recorded until then plays.
            assert [Path(name).name for name in new if "STATE" not in name] == ["video.mp4"]
            assert before.keys() <= files(disk).keys()
            assert machine.info()["state"] == "running"
            app.ask("act", "SNAPSHOT", NAME, "later")
            until(lambda: len(machine.snapshots.list()) == 2, what="a snapshot with space")
            machine.snapshots.load("base")
    finally:
        app.end()
    # The window's settings may have been saved meanwhile: that they were not is said, too.
    assert all("No space left on device" in line for line in app.errors.splitlines()), app.errors
