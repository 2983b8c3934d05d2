"""Guests that are measured, with the lines a measurement needs: serial, clock, keys, VNC.

Two of the same guest: one that kju runs and one that plain QEMU runs. A viewer that would
disturb kju's machine, or be disturbed by it, looks at the other; the one that is not looked at
rests. QEMU serves one peer-to-peer D-Bus display, which on kju's machine is kju's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kju

from .clock import Clock
from .monitor import Line, Monitor, connect


def lines(folder: Path) -> list[str]:
    """QEMU's arguments for the lines; no listener off this machine."""
    return [
        "-chardev", f"socket,id=bench-serial,path={folder}/serial,server=on,wait=off",
        "-serial", "chardev:bench-serial",
        "-chardev", f"socket,id=bench-clock,path={folder}/clock,server=on,wait=off",
        "-device", "isa-debugcon,iobase=0xe9,chardev=bench-clock",
        "-qmp", f"unix:{folder}/keys,server=on,wait=off",
        "-qmp", f"unix:{folder}/peer,server=on,wait=off",
        "-vnc", f"unix:{folder}/vnc",
    ]  # fmt: skip


class Rig:
    """One guest that answers.

    Attributes:
        name: kju's name for the machine, empty for plain QEMU's.
        machine: kju's machine, or None.
        pid: QEMU's process.
    """

    def __init__(self, folder: Path, machine: kju.Machine | None, pid: int) -> None:
        self.folder = folder
        self.machine = machine
        self.name = machine.name if machine else ""
        self.pid = pid
        self.line = Line(folder / "serial")
        self.keys = Monitor(folder / "keys")
        self.clock = Clock(connect(folder / "clock"), self.line)

    @property
    def where(self) -> dict[str, str]:
        """What a viewer is told to find the machine."""
        return {"name": self.name, "folder": str(self.folder)}

    def info(self) -> dict[str, Any]:
        if self.machine is None:
            raise TypeError("plain QEMU has no host")
        return self.machine.info()

    @property
    def host(self) -> int:
        """The host's process."""
        return int(self.info()["host"]["pid"])

    @property
    def source(self) -> str:
        return str(self.info()["consoles"][0]["source"])

    def close(self) -> None:
        self.line.close()
        self.keys.close()


@contextlib.contextmanager
def of_kju(folder: str, arguments: list[str], name: str = "kju-bench") -> Iterator[Rig]:
    """The guest, run by kju. Nobody looks at it: not even this program."""
    here = Path(folder) / name
    here.mkdir()
    with kju.launch(name=name, args=[*arguments, *lines(here)]) as machine:
        rig = Rig(here, machine, int(machine.info()["qemu"]["pid"]))
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig


@contextlib.contextmanager
def of_qemu(folder: str, arguments: list[str], name: str = "plain") -> Iterator[Rig]:
    """The guest, run by QEMU alone, with its D-Bus display for whoever asks."""
    here = Path(folder) / name
    here.mkdir()
    qemu = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    words = [qemu, "-nodefaults", *arguments, *lines(here), "-display", "dbus,p2p=yes"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        rig = Rig(here, None, process.pid)
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig
    finally:
        process.kill()
        process.wait()


def settle(seconds: float) -> None:
    """Let what was started come to rest; a named sleep, for none may be hidden."""
    time.sleep(seconds)
