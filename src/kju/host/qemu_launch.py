"""SHELL: everything decided before a QEMU runs: which one, what image, which arguments."""

from __future__ import annotations

import logging
from typing import NamedTuple

from . import arguments, probe, qemu
from .arguments import Facts, Plan
from .emulator import Emulator
from .image import Image
from .messages import Launch
from .probe import Accelerator
from .qemu import Qemu
from .runtime import Claim

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A launch that may be tried.

    Attributes:
        request: What was asked for.
        qemu: What will run.
        image: What it boots from.
    """

    request: Launch
    qemu: Qemu
    image: Image | None

    def emulator(self, claim: Claim) -> Emulator:
        """The QEMU; an accelerator is tried out first."""
        from .qemu_emulator import QemuEmulator  # it takes a `Prepared`

        return QemuEmulator(claim, self, choose_accelerator(self))

    def facts(self, name: str, qmp: int, accelerator: Accelerator) -> Facts:
        """What the arguments are made from."""
        return Facts(
            name=name,
            architecture=self.qemu.architecture,
            qmp=qmp,
            accelerator=accelerator.name,
            accelerator_reason=accelerator.reason,
            image=self.image,
            memory=self.request.memory,
            cpus=self.request.cpus,
            shares_video_memory=self.qemu.shares_video_memory,
        )

    def plan(self, name: str, qmp: int, accelerator: Accelerator) -> Plan:
        """The whole command line.

        Raises:
            ConflictError: The user's arguments contradict kju's.
        """
        return arguments.plan(self.request.arguments, self.facts(name, qmp, accelerator))


def prepare_qemu(request: Launch) -> Prepared:
    """Check a launch of QEMU.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read.
        QemuError: There is no QEMU that will do.
    """
    image = qemu.read_image(request.image) if request.image else None
    # Before QEMU is looked for: a contradiction is one on every computer.
    facts = Facts("check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus)
    arguments.plan(request.arguments, facts)
    found = qemu.require(qemu.inspect(qemu.locate(request.qemu)))
    return Prepared(request, found, image)


def choose_accelerator(prepared: Prepared) -> Accelerator:
    """The accelerator, tried out only where the user has not chosen one."""
    untried = prepared.plan("check", 3, Accelerator("tcg", ""))
    if not any("-accel" in part.arguments for part in untried.appended):
        return Accelerator("user", "the user's own choice")
    found = probe.accelerator(prepared.qemu)
    log.info("accelerator %s: %s", found.name, found.reason)
    return found
