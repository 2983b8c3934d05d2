"""Which arguments kju appends to a user's QEMU arguments, and why. I/O-free.

The user's arguments come first, unchanged. kju appends its own, each with a reason, and refuses a
contradiction before anything starts. A category (video, tablet, network, memory, ...) gets a device
only if the user named none. The ids of all that kju appends begin with ``kju-``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...base import Appended
from ..options import parse
from . import devices, disks, system
from .conflicts import refuse
from .facts import Facts, Items, QemuPlan
from .given import Given

_TEMPORARY = (
    "the disks are temporary (-snapshot or snapshot=on): the guest's changes, and every snapshot,"
    " are lost when the machine ends"
)
#: In the order of the command line.
_PARTS: tuple[Callable[[Given, Facts], Items], ...] = (
    system.machine,
    system.accelerator,
    system.cpu,
    system.memory,
    system.firmware,
    system.boot,
    disks.disks,
    devices.video,
    devices.inputs,
    devices.network,
    devices.sound,
    devices.serial,
    system.sandbox,
    system.user,
    system.channels,
)


def plan(user: Sequence[str], facts: Facts) -> QemuPlan:
    """Decide which arguments to append.

    Raises:
        ConflictError: The user's arguments contradict what kju needs, or what the caller
            asked for beside them.
    """
    options = parse(user)
    given = Given(options)
    refuse(options, given, facts)
    appended: list[Appended] = []
    notes: list[str] = []
    for part in _PARTS:
        for item in part(given, facts):
            if isinstance(item, Appended):
                appended.append(item)
            else:
                notes.append(item)
    temporary = _TEMPORARY if given.is_temporary else ""
    return QemuPlan(
        tuple(user),
        tuple(appended),
        tuple([*notes, temporary] if temporary else notes),
        changes_user=given.changes_user,
        buses=tuple((path, attached) for _, path, attached in disks.drives(given, facts)),
        temporary=temporary,
    )
