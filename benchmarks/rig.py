"""Guests for measurements, with the lines that a measurement needs: serial, clock, keys.

The same guest three times, two of them without any drawing: one run by kju, one in a QEMU with only
a VNC server, one in a QEMU with a D-Bus display. A single QEMU is not sufficient: it serves one
peer-to-peer D-Bus display, which kju uses; and with any D-Bus display, even an unused one, VNC's
interval no longer grows at rest, which is not how users run VNC.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kju

from .clock import Clock
from .monitor import Line, Monitor, connect


def lines(folder: Path) -> list[str]:
    """Return QEMU's arguments for the lines; all listeners are local."""
    return [
        "-chardev", f"socket,id=bench-serial,path={folder}/serial,server=on,wait=off",
        "-serial", "chardev:bench-serial",
        "-chardev", f"socket,id=bench-clock,path={folder}/clock,server=on,wait=off",
        "-device", "isa-debugcon,iobase=0xe9,chardev=bench-clock",
        "-qmp", f"unix:{folder}/keys,server=on,wait=off",
        "-qmp", f"unix:{folder}/peer,server=on,wait=off",
    ]  # fmt: skip


class Rig:
    """One running guest that responds.

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
        """The place of the machine, for a viewer."""
        return {"name": self.name, "folder": str(self.folder), "pid": str(self.pid)}

    @property
    def host(self) -> int:
        """The host's process; 0 for plain QEMU."""
        return self.machine.host_pid if self.machine else 0

    @property
    def source(self) -> str:
        """The screen's source. Reading it counts as viewing: the source runs for a second."""
        return str(self._console()["source"])

    @property
    def size(self) -> str:
        """The screen's width and height from kju; reading them counts as viewing, too."""
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
    """Run the guest by kju, without any viewer."""
    here = Path(tempfile.mkdtemp(dir=folder))
    with kju.launch(name=name, args=[*arguments, *lines(here)]) as machine:
        # This is a look, while the firmware still shows text: what that leaves behind in QEMU
        # would be part of what is measured, for whoever starts a machine looks at once.
        rig = Rig(here, machine, int(machine.info()["qemu"]["pid"]))
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig


@contextlib.contextmanager
def of_qemu(
    folder: str, arguments: list[str], display: str, x11: dict[str, str] | None = None
) -> Iterator[Rig]:
    """Run the guest by QEMU alone, with one display.

    Args:
        folder: Parent of its own folder.
        arguments: QEMU's.
        display: ``vnc`` or ``spice`` (sockets in its folder), ``vnc-tcp``, ``dbus``, ``gtk`` (the
            whole X screen) or ``none``.
        x11: Its environment, for ``gtk``.
    """
    here = Path(tempfile.mkdtemp(dir=folder))
    spice = f"unix=on,addr={here}/spice,disable-ticketing=on"
    shown = {
        "vnc": ["-display", "none", "-vnc", f"unix:{here}/vnc"],
        "vnc-tcp": ["-display", "none", "-vnc", "127.0.0.1:0,to=99"],
        "spice": ["-display", "none", "-spice", spice],
        "dbus": ["-display", "dbus,p2p=yes", "-vnc", f"unix:{here}/vnc"],
        "gtk": ["-display", "gtk,full-screen=on,zoom-to-fit=on"],
        "none": ["-display", "none"],
    }[display]
    with plain(here, [*arguments, *shown], environment=x11) as rig:
        yield rig


@contextlib.contextmanager
def plain(
    folder: Path,
    arguments: list[str],
    before: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[Rig]:
    """Run the guest by QEMU alone.

    Args:
        folder: The guest's own, for the lines.
        arguments: QEMU's, with its display.
        before: The command that runs QEMU; empty to run it directly.
        environment: QEMU's; None for this process's.
    """
    qemu = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    words = [*before, qemu, "-nodefaults", *arguments, *lines(folder)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment)
    try:
        rig = Rig(folder, None, process.pid)
        with contextlib.closing(rig):
            rig.line.until("kju: ready")
            yield rig
    finally:
        process.kill()
        process.wait()


Rigs = dict[str, Rig]


@contextlib.contextmanager
def all_three(folder: str, arguments: list[str]) -> Iterator[Rigs]:
    """Run the guest in each of the three ways; none of them draws."""
    with contextlib.ExitStack() as stack:
        rigs = {"kju": stack.enter_context(of_kju(folder, arguments))}
        for display in ("vnc", "dbus"):
            rigs[display] = stack.enter_context(of_qemu(folder, arguments, display))
        for rig in rigs.values():
            rig.line.tell("still")
        yield rigs
