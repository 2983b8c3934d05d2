"""Inputs and result of the plan for QEMU's command line. I/O-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ....store.image import Image
from ...base import Appended, Plan
from ..board.board import PC, Board
from ..board.disk_bus import Attachment

#: Of the ids of everything that kju appends.
PREFIX = "kju-"

#: Arguments to append, and notes.
Items = list[Appended | str]


class Firmware(NamedTuple):
    """The firmware to start with.

    Attributes:
        code: A file.
        code_format: Its format; empty for a file that is given as ``-bios``.
        variables: The machine's own, qcow2; empty without variables.
        reason: Why this one.
    """

    code: str
    code_format: str
    variables: str
    reason: str


class Facts(NamedTuple):
    """The facts that the arguments are made from.

    Attributes:
        name: The machine's name.
        architecture: Of the guest, as in ``qemu-system-ARCHITECTURE``.
        qmp: The number of the descriptor that QEMU inherits for QMP.
        accelerator: ``kvm`` or ``tcg``.
        accelerator_reason: Why that one.
        image: The image to boot from, if any.
        memory: For ``-m``; empty for the default.
        cpus: For ``-smp``; 0 for the default.
        board: The machine type's buses and devices.
        disk_bus: The bus of the disks, one of `DISK_BUSES`; empty for the default.
        no_sound: QEMU's arguments for sound that is not played.
        shares_video_memory: Whether this QEMU knows ``aux-ram-share``.
        disks: Further disks and CDs.
        firmware: The firmware to start with, unless it is QEMU's own.
        serial: The number of the descriptor that QEMU inherits for a serial port.
    """

    name: str
    architecture: str
    qmp: int
    accelerator: str
    accelerator_reason: str
    image: Image | None = None
    memory: str = ""
    cpus: int = 0
    board: Board = PC
    disk_bus: str = ""
    no_sound: tuple[str, ...] = ()
    shares_video_memory: bool = False
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    serial: int = -1


@dataclass(frozen=True)
class QemuPlan(Plan):
    """A whole command line of QEMU.

    Attributes:
        changes_user: Whether QEMU becomes another user's process.
        buses: For each disk and CD its path, and its bus with the reason.
        temporary: A warning that changes of the disks are lost; empty if they are kept.
    """

    changes_user: bool = False
    buses: tuple[tuple[str, Attachment], ...] = ()
    temporary: str = ""

    @property
    def has_serial(self) -> bool:
        """Whether kju has added a serial port."""
        return any(f"chardev:{PREFIX}serial" in part.arguments for part in self.appended)


def board_title(board: Board) -> str:
    """Return the board's name for a message."""
    return f"machine type {board.name}" if board.name else "this machine type"
