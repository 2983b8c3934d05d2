"""Guests that are measured, with the lines a measurement needs: serial, clock, keys.

The same guest three times, of which two rest: one that kju runs, one in a QEMU with a VNC server
and no other display, one in a QEMU with a D-Bus display. They cannot be one. QEMU serves one
peer-to-peer D-Bus display, which on kju's machine is kju's; and beside any D-Bus display, even
one that nobody uses, VNC's interval no longer grows while nothing changes, so that it would be
measured as nobody has it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
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
        return {"name": self.name, "folder": str(self.folder), "pid": str(self.pid)}

    @property
    def host(self) -> int:
        """The host's process; 0 for plain QEMU, which has none."""
        return self.machine.host_pid if self.machine else 0

    @property
    def source(self) -> str:
        """What fills the screen. Asking is a look: the host's source runs for a second after."""
        return str(self._console()["source"])

    @property
    def size(self) -> str:
        """The screen's width and height, as kju says; a look, too."""
        console = self._console()
        return f"{console['width']}x{console['height']}"

    def _console(self) -> dict[str, Any]:
        if self.machine is None:
            raise TypeError("plain QEMU has no host")
        return dict(self.machine.info()["consoles"][0])

    def close(self) -> None:
        self.line.close()
        self.keys.close()


@contextlib.contextmanager
def of_kju(folder: str, arguments: list[str], name: str = "kju-bench") -> Iterator[Rig]:
    """The guest, run by kju. Nobody looks at it: not even this program."""
    here = Path(tempfile.mkdtemp(dir=folder))
    with kju.launch(name=name, args=[*arguments, *lines(here)]) as machine:
        # This is a look, while the firmware still shows text: what that leaves behind in QEMU
        # would be part of what is measured, for whoever starts a machine looks at once.
        rig = Rig(here, machine, int(machine.info()["qemu"]["pid"]))
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig


@contextlib.contextmanager
def of_qemu(folder: str, arguments: list[str], display: str) -> Iterator[Rig]:
    """The guest, run by QEMU alone, with one display: ``vnc``, ``dbus`` or ``none``."""
    here = Path(tempfile.mkdtemp(dir=folder))
    qemu = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    shown = {
        "vnc": ["-display", "none", "-vnc", f"unix:{here}/vnc"],
        "dbus": ["-display", "dbus,p2p=yes", "-vnc", f"unix:{here}/vnc"],
        "none": ["-display", "none"],
    }[display]
    words = [qemu, "-nodefaults", *arguments, *lines(here), *shown]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        rig = Rig(here, None, process.pid)
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig
    finally:
        process.kill()
        process.wait()


Rigs = dict[str, Rig]


@contextlib.contextmanager
def all_three(folder: str, arguments: list[str]) -> Iterator[Rigs]:
    """The guest in each of the ways; all rest."""
    with contextlib.ExitStack() as stack:
        rigs = {"kju": stack.enter_context(of_kju(folder, arguments))}
        for display in ("vnc", "dbus"):
            rigs[display] = stack.enter_context(of_qemu(folder, arguments, display))
        for rig in rigs.values():
            rig.line.tell("still")
        yield rigs
