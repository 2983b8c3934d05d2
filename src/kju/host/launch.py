"""SHELL: everything decided before anything runs: which QEMU, what image, which arguments."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from ..errors import ConflictError, UsageError
from . import arguments, probe, qemu
from .arguments import Facts, Plan
from .image import Image
from .messages import Launch
from .probe import Accelerator
from .qemu import Qemu

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


def prepare(request: Launch) -> Prepared:
    """Check a launch as far as that can be done without starting a guest.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read, or the surface's folder is not there.
        QemuError: There is no QEMU that will do.
    """
    if any("\0" in argument for argument in request.arguments):
        raise ConflictError("a QEMU argument holds a zero byte")
    _check_surface(request.surface)
    image = qemu.read_image(request.image) if request.image else None
    # Before QEMU is looked for: a contradiction is one on every computer.
    facts = Facts("check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus)
    arguments.plan(request.arguments, facts)
    found = qemu.require(qemu.inspect(qemu.locate(request.qemu)))
    return Prepared(request, found, image)


def _check_surface(path: str) -> None:
    """Refuse a place where no surface can be; what is there already its maker looks at."""
    if path and not Path(path).parent.is_dir():
        parent = Path(path).parent
        raise UsageError(f"the surface {path} cannot be made: {parent} is no folder; make it first")


def choose_accelerator(prepared: Prepared) -> Accelerator:
    """The accelerator, tried out only where the user has not chosen one."""
    untried = prepared.plan("check", 3, Accelerator("tcg", ""))
    if not any("-accel" in part.arguments for part in untried.appended):
        return Accelerator("user", "the user's own choice")
    found = probe.accelerator(prepared.qemu)
    log.info("accelerator %s: %s", found.name, found.reason)
    return found
