"""SHELL: everything decided before a QEMU runs: which one, what image, which arguments."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ...protocol.launch_options import guest_values
from ...protocol.messages import Launch
from ...store import defined as store
from ...store import disk_chain
from ...store.disk_chain import Chain
from ...store.image import Image, Kind
from ...store.image_file import read_image
from ...store.running import Claim
from ..base import Emulator
from . import accelerator as probe
from . import arguments
from . import program as qemu
from .accelerator import Accelerator
from .arguments import Facts, Firmware, Plan
from .board import firmware
from .board import probe as board_probe
from .board.board import PC, Board
from .program import Qemu

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A launch that may be tried.

    Attributes:
        request: What was asked for.
        qemu: What will run.
        image: What it boots from.
        disks: Further disks and CDs.
        firmware: What it starts with, if not QEMU's own.
        board: What the machine type offers.
        chains: The files of the image and of each further disk.
    """

    request: Launch
    qemu: Qemu
    image: Image | None
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    board: Board = PC
    chains: tuple[Chain, ...] = ()

    def emulator(self, claim: Claim) -> Emulator:
        """The QEMU; an accelerator is tried out first."""
        from .emulator import QemuEmulator  # it takes a `Prepared`

        return QemuEmulator(claim, self, choose_accelerator(self))

    def facts(self, name: str, qmp: int, serial: int, accelerator: Accelerator) -> Facts:
        """What the arguments are made from."""
        return Facts(
            name=name,
            architecture=self.qemu.architecture,
            qmp=qmp,
            accelerator=accelerator.name,
            accelerator_reason=accelerator.reason,
            image=self.image,
            board=self.board,
            no_sound=self.qemu.no_sound,
            shares_video_memory=self.qemu.shares_video_memory,
            disks=self.disks,
            firmware=self.firmware,
            serial=serial,
            **guest_values(self.request, Facts._fields),
        )

    def plan(self, name: str, qmp: int, serial: int, accelerator: Accelerator) -> Plan:
        """The whole command line.

        Args:
            name: The machine's.
            qmp: The number of the descriptor that QEMU inherits for QMP.
            serial: The same for a serial port.
            accelerator: What the guest runs on.

        Raises:
            ConflictError: The user's arguments contradict kju's.
        """
        return arguments.plan(self.request.arguments, self.facts(name, qmp, serial, accelerator))


def prepare_qemu(request: Launch) -> Prepared:
    """Check a launch of QEMU.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read.
        QemuError: There is no QEMU that will do.
    """
    image = read_image(request.image) if request.image else None
    images = [*([image] if image else []), *map(_read_disk, request.disks)]
    seen = [
        disk_chain.checked(found, trusted=request.trust_disk, made=store.layers_made)
        for found in images
    ]
    _check_own_disks(request)
    checked = tuple(found for found, _ in seen)
    image, disks = (checked[0], checked[1:]) if image else (None, checked)
    # Before QEMU is looked for: a contradiction is one on every computer.
    facts = Facts("check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus)
    arguments.plan(request.arguments, facts)
    found = qemu.require(qemu.inspect(qemu.locate(request.qemu)))
    starts_with = firmware.find(request.firmware, request.folder, found.architecture)
    if starts_with is None and arguments.needs_firmware(
        request.arguments, found.architecture, image
    ):
        starts_with = firmware.without_variables(found.architecture)
    kernel = image.path if image and image.kind is Kind.KERNEL else ""
    board = board_probe.ask(
        found, arguments.board_arguments(request.arguments, found.architecture, kernel)
    )
    chains = tuple(chain for _, chain in seen)
    return Prepared(request, found, image, disks, starts_with, board, chains)


def _check_own_disks(request: Launch) -> None:
    """Check the disks among the user's own arguments as any other; QEMU says which are missing."""
    for path, disk_format in arguments.own_disks(request.arguments):
        if Path(path).is_file():
            whole = str(Path(path).absolute())
            image = Image(whole, Kind.DISK, disk_format, "the user's own argument")
            disk_chain.checked(image, trusted=request.trust_disk, made=store.layers_made)


def _read_disk(path: str) -> Image:
    found = read_image(path)
    if found.kind is Kind.KERNEL:
        raise UsageError(f"{path} is a kernel ({found.reason}): it can only be the image")
    return found


def choose_accelerator(prepared: Prepared) -> Accelerator:
    """The accelerator, tried out only where the user has not chosen one."""
    untried = prepared.plan("check", 3, 4, Accelerator("tcg", ""))
    if not any("-accel" in part.arguments for part in untried.appended):
        return Accelerator("user", "the user's own choice")
    found = probe.accelerator(prepared.qemu)
    log.info("accelerator %s: %s", found.name, found.reason)
    return found
