"""SHELL: checks before an Xvfb is started, or a running one is shown."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from ...errors import ConflictError, XvfbError
from ...extras import install_program
from ...protocol.launch_options import Launch
from . import arguments as xvfb_arguments

INSTALL = {
    "debian": "apt install xvfb",
    "ubuntu": "apt install xvfb",
    "fedora": "dnf install xorg-x11-server-Xvfb",
    "rhel": "dnf install xorg-x11-server-Xvfb",
    "arch": "pacman -S xorg-server-xvfb",
    "suse": "zypper install xorg-x11-server-Xvfb",
}


class Prepared(NamedTuple):
    """A checked launch of an Xvfb.

    Attributes:
        request: The request.
        path: Of the program; empty if a running one is to be shown.
    """

    request: Launch
    path: str

    @property
    def default_name(self) -> str:
        """The name of a machine that was given none."""
        return self.request.emulator


def locate() -> str:
    """Return the Xvfb in PATH.

    Raises:
        XvfbError: It is missing; the message says how to install it.
    """
    path = shutil.which("Xvfb")
    if path is None:
        how = install_program(INSTALL, "install Xvfb from your distribution")
        raise XvfbError(f"Xvfb is not installed; {how}")
    return path


def prepare(request: Launch) -> Prepared:
    """Check a launch of Xvfb.

    Raises:
        ConflictError: It has options that need a guest, or arguments that contradict kju's.
        XvfbError: Xvfb is missing.
    """
    values = (request.image, request.memory, request.cpus, request.disk_bus, request.qemu)
    names = ("an image", "memory", "cpus", "a disk bus", "a QEMU")
    for name in (name for name, value in zip(names, values, strict=True) if value):
        raise ConflictError(f"Xvfb has no guest, so {name} cannot be given")
    if request.running:
        if request.arguments:
            raise ConflictError(f"the Xvfb {request.running} runs already: it takes no arguments")
        return Prepared(request, "")
    xvfb_arguments.plan(request.arguments, 3, "")
    return Prepared(request, locate())
