"""A host without access to QEMU's descriptors shows QEMU's pictures in place of the memory.

QEMU runs as nobody here, and its host may not look into other users' processes, as in a container
with the capabilities that containers have. Where even their entries in /proc are hidden, the host
lives in a mount namespace of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.monitor import Monitor
from support.wait import HANG, until

import kju
from kju.client.targets import running_names
from kju.errors import UnavailableError

pytestmark = pytest.mark.qemu

NOBODY = 65534
KJU = (sys.executable, "-P", "-m", "kju.cli")
WITHOUT = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
#: The group that may see all processes must not be root's: 0 and a missing value mean root.
HIDDEN_PROC = ("unshare", "--mount", "sh", "-ec",
               'mount -t proc -o hidepid=2,gid=65533 proc /proc; exec "$@"', "sh")  # fmt: skip
HOW = {
    "open": ((), ""),
    "closed": (WITHOUT, "Permission denied"),
    "hidden": ((*HIDDEN_PROC, *WITHOUT), "No such file or directory"),
}


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    yield
    assert running_names() == []


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that the user nobody can write to, for QEMU's screenshots."""
    folder = Path(tempfile.mkdtemp(prefix="kju-nobody-"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder)


def must_work(*words: str) -> None:
    if os.getuid():
        pytest.skip("only root can have QEMU change its user")
    done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{words[0]} is not allowed here: {done.stderr.strip()}")


def command(*words: str) -> str:
    done = subprocess.run([*KJU, *words], capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def denied(how: str, theirs: Path) -> Iterator[tuple[kju.Machine, Monitor, guests.Serial]]:
    """A machine whose host cannot open QEMU's descriptors, and a guest driven by hand."""
    wrapper = HOW[how][0]
    must_work(*wrapper)
    paint, monitor = guests.paint(theirs, "still", device="VGA", via="vram"), Monitor(theirs)
    run = ["run", "--detach", "--name", "deaf", "--", *paint.arguments, *monitor.arguments]
    subprocess.run(
        [*wrapper, *KJU, *run, "-run-with", "user=nobody"],
        check=True, timeout=HANG, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with kju.attach("deaf") as machine, monitor, guests.Serial(paint) as serial:
            yield machine, monitor, serial
    finally:
        command("stop", "--now", "deaf")


def console_of(machine: kju.Machine) -> dict[str, object]:
    return machine.info()["consoles"][0]


@pytest.mark.parametrize("how", ["closed", "hidden"])
def test_host_without_access_to_qemu_publishes_its_pictures(how: str, theirs: Path) -> None:
    with denied(how, theirs) as (machine, monitor, serial):
        screen = machine.screen
        qemu = machine.info()["qemu"]["pid"]
        assert Path(f"/proc/{qemu}").stat().st_uid == NOBODY
        serial.wait("^kju: ready", 90)
        epoch = 0
        for width, height, bits in ((1024, 768, 32), (800, 600, 16), (640, 480, 32)):
            serial.ask(f"set {width} {height} {bits}", "^kju: set")
            serial.ask(f"fill {width} 0 {16 << 20}", "^kju: fill")
            until(lambda: screen.mode[:2] == (width, height), "the mode")  # noqa: B023
            assert screen.mode.epoch > epoch
            epoch = screen.mode.epoch
            with monitor.paused():
                monitor.equals(screen)
                assert len(np.unique(screen.frame()[..., 2])) >= 32, "a picture, no blank"
            assert str(console_of(machine)["source"]).startswith("display1")
        serial.ask("block 10 20 50 60 0x123456", "^kju: block")
        with monitor.paused():
            monitor.equals(screen)
            assert (screen.frame((10, 20, 50, 60)) == (0x12, 0x34, 0x56)).all()
        with pytest.raises(UnavailableError):
            screen.view(live=True)

        why = str(console_of(machine)["no_vram"])
        assert f"cannot be opened: {HOW[how][1]}" in why
        assert why in command("info", "deaf")
        assert why in machine.log.read_text()
        found = {one["check"]: one for one in json.loads(command("doctor", "--json"))}
        assert found["source vram"]["passed"] is True, "it is not QEMU that cannot"
        assert found["machine deaf"]["passed"] is None
        assert why in found["machine deaf"]["details"]
        assert f"--  machine deaf        {found['machine deaf']['details']}" in command("doctor")


def test_host_with_access_uses_the_video_memory(theirs: Path) -> None:
    """The counterpart of the tests above: they fail for the reason that they name.

    QEMU may not write to the machine's folder here, and screenshots work all the same.
    """
    with denied("open", theirs) as (machine, monitor, serial):
        screen = machine.screen
        serial.wait("^kju: ready", 90)
        screen.frame()
        until(lambda: console_of(machine)["source"] == "vram")
        with monitor.paused():
            monitor.equals(screen)
        assert console_of(machine)["no_vram"] == ""
        found = {one["check"]: one for one in json.loads(command("doctor", "--json"))}
        assert "machine deaf" not in found

        qemu = Path(f"/proc/{machine.info()['qemu']['pid']}/fd")
        serial.ask("set 800 600 16", "^kju: set")
        serial.ask(f"fill 7 0 {16 << 20}", "^kju: fill")
        until(lambda: console_of(machine)["source"] == "screendump")
        with monitor.paused():
            monitor.equals(screen)
        before = len(os.listdir(qemu))
        serial.ask("set 800 600 32", "^kju: set")
        until(lambda: console_of(machine)["source"] == "vram")
        # At this index only QEMU's picture shows that the screen is blanked.
        serial.ask("port 0x3da", "^kju: port")
        serial.ask("port 0x3c0 0", "^kju: port")
        until(lambda: not screen.frame().any(), "it is black")
        with monitor.paused():
            monitor.equals(screen)
        assert "cannot be read" not in machine.log.read_text()
        # One descriptor is open while a screenshot is taken.
        until(lambda: len(os.listdir(qemu)) <= before, "QEMU keeps nothing of a screenshot")
