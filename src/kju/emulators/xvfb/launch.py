"""SHELL: everything decided before an Xvfb runs, or is looked into."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from ...errors import ConflictError, XvfbError
from ...protocol.messages import Launch
from ...store import distribution
from ...store.claims import Claim
from ..base import Emulator
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
    """A launch of an Xvfb that may be tried.

    Attributes:
        request: What was asked for.
        path: Of the program; empty where a running one is to be shown.
    """

    request: Launch
    path: str

    def emulator(self, claim: Claim) -> Emulator:
        """The Xvfb, started or found."""
        from .emulator import RunningXvfb, StartedXvfb  # they take a `Prepared`

        return (StartedXvfb if self.path else RunningXvfb)(claim, self)


def locate() -> str:
    """The Xvfb in PATH.

    Raises:
        XvfbError: There is none; the message says how to install it.
    """
    path = shutil.which("Xvfb")
    if path is None:
        how = distribution.install_line(INSTALL, "install Xvfb from your distribution")
        raise XvfbError(f"there is no Xvfb here; {how}")
    return path


def prepare_xvfb(request: Launch) -> Prepared:
    """Check a launch of Xvfb.

    Raises:
        ConflictError: It asks for what only a guest has, or its arguments contradict kju's.
        XvfbError: There is no Xvfb.
    """
    wishes = (request.image, request.memory, request.cpus, request.disk_bus, request.qemu)
    names = ("an image", "memory", "cpus", "a disk bus", "a QEMU")
    for name in (name for name, wish in zip(names, wishes, strict=True) if wish):
        raise ConflictError(f"Xvfb has no guest, so {name} cannot be given")
    if request.running:
        if request.arguments:
            raise ConflictError(f"the Xvfb {request.running} runs already: it takes no arguments")
        return Prepared(request, "")
    xvfb_arguments.plan(request.arguments, 3, "")
    return Prepared(request, locate())
