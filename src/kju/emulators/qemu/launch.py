"""SHELL: checks before a QEMU is started: the program, the image, the arguments."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ...protocol.launch_options import Launch, guest_values
from ...store import defined, disk_chain
from ...store.disk_chain import Chain, read_image
from ...store.image import Image, Kind
from . import accelerator, program
from .accelerator import Accelerator
from .arguments.disks import own_disks
from .arguments.facts import Facts, Firmware, QemuPlan
from .arguments.plan import plan
from .arguments.system import board_arguments, needs_firmware
from .board import firmware
from .board import probe as board_probe
from .board.board import PC, Board
from .program import Qemu

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A checked launch of a QEMU.

    Attributes:
        request: The request.
        qemu: The program.
        image: The image to boot from.
        disks: Further disks and CDs.
        firmware: The firmware, unless it is QEMU's own.
        board: The machine type's buses and devices.
        chains: For the image and each further disk, its files.
    """

    request: Launch
    qemu: Qemu
    image: Image | None
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    board: Board = PC
    chains: tuple[Chain, ...] = ()

    @property
    def default_name(self) -> str:
        """The image, whose file name a machine gets that was given none."""
        return self.request.image

    def facts(self, name: str, qmp: int, serial: int, runs_on: Accelerator) -> Facts:
        """Return the facts that the arguments are made from."""
        return Facts(
            name=name,
            architecture=self.qemu.architecture,
            qmp=qmp,
            accelerator=runs_on.name,
            accelerator_reason=runs_on.reason,
            image=self.image,
            board=self.board,
            no_sound=self.qemu.no_sound,
            shares_video_memory=self.qemu.shares_video_memory,
            disks=self.disks,
            firmware=self.firmware,
            serial=serial,
            **guest_values(self.request, Facts._fields),
        )

    def plan(self, name: str, qmp: int, serial: int, runs_on: Accelerator) -> QemuPlan:
        """Return the whole command line.

        Args:
            name: The machine's.
            qmp: The number of the descriptor that QEMU inherits for QMP.
            serial: The same for a serial port.
            runs_on: The accelerator.

        Raises:
            ConflictError: The user's arguments contradict kju's.
        """
        return plan(self.request.arguments, self.facts(name, qmp, serial, runs_on))


def prepare(request: Launch) -> Prepared:
    """Check a launch of QEMU.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read.
        QemuError: QEMU is missing or unusable.
    """
    image = read_image(request.image) if request.image else None
    images = [*([image] if image else []), *map(_read_disk, request.disks)]
    seen = [
        disk_chain.checked(found, trusted=request.trust_disk, made=defined.layers_made)
        for found in images
    ]
    _check_own_disks(request)
    checked = tuple(found for found, _ in seen)
    image, disks = (checked[0], checked[1:]) if image else (None, checked)
    # Before the program is searched for: contradictions do not depend on it.
    facts = Facts("check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus)
    plan(request.arguments, facts)
    found = program.require(program.inspect(program.locate(request.qemu)))
    starts_with = firmware.find(request.firmware, request.folder, found.architecture)
    if starts_with is None and needs_firmware(request.arguments, found.architecture, image):
        starts_with = firmware.without_variables(found.architecture)
    kernel = image.path if image and image.kind is Kind.KERNEL else ""
    board = board_probe.ask(found, board_arguments(request.arguments, found.architecture, kernel))
    chains = tuple(chain for _, chain in seen)
    return Prepared(request, found, image, disks, starts_with, board, chains)


def _check_own_disks(request: Launch) -> None:
    """Check the disks among the user's own arguments; QEMU itself reports missing ones."""
    for path, disk_format in own_disks(request.arguments):
        if Path(path).is_file():
            whole = str(Path(path).absolute())
            image = Image(whole, Kind.DISK, disk_format, "the user's own argument")
            disk_chain.checked(image, trusted=request.trust_disk, made=defined.layers_made)


def _read_disk(path: str) -> Image:
    found = read_image(path)
    if found.kind is Kind.KERNEL:
        raise UsageError(f"{path} is a kernel ({found.reason}): it can only be the image")
    return found


def choose_accelerator(prepared: Prepared) -> Accelerator:
    """Choose the accelerator; try it out unless the user chose one."""
    untried = prepared.plan("check", 3, 4, Accelerator("tcg", ""))
    if not any("-accel" in part.arguments for part in untried.appended):
        return Accelerator("user", "the user's own choice")
    found = accelerator.accelerator(prepared.qemu)
    log.info("accelerator %s: %s", found.name, found.reason)
    return found
