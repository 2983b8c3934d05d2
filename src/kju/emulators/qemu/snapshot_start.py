"""SHELL: a start with a snapshot: it is loaded before the guest runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...errors import QemuError
from .arguments.user_options import parse
from .launch import PreparedQemu
from .qmp import Qmp
from .snapshots import QemuSnapshots, SnapshotLoadError
from .stderr import error_message

#: Seconds in which QEMU's output arrives that it has written before an answer.
_OUTPUT_TIME = 0.05


def begins_with_snapshot(prepared: PreparedQemu) -> bool:
    """Return whether a QEMU loads a snapshot when it starts. A fork continues from its base."""
    return bool(prepared.request.snapshot) and prepared.fork_memory is None


async def load_snapshot(qmp: Qmp, prepared: PreparedQemu, snapshots: QemuSnapshots) -> None:
    """Load the snapshot that a machine begins with, and let the guest run unless the user has -S.

    Raises:
        UsageError: The disks have no such snapshot, or it is incomplete.
        SnapshotLoadError: QEMU could not load it.
        QemuError: QEMU does not answer.
    """
    await snapshots.begin_with(prepared.request.snapshot)
    if not any(option.name == "S" for option in parse(prepared.request.arguments)):
        await qmp.execute("cont")


async def explain(
    error: SnapshotLoadError,
    prepared: PreparedQemu,
    name: str,
    output: Callable[[], Sequence[str]],
    *,
    changed: bool,
) -> QemuError:
    """Return the error for a snapshot that QEMU could not load, with QEMU's reason.

    Args:
        error: QEMU's answer, which has no reason.
        prepared: The launch.
        name: The machine's name.
        output: Returns QEMU's last output.
        changed: Whether the user's own disks are as they were at the snapshot now.
    """
    await asyncio.sleep(_OUTPUT_TIME)
    text = str(error)
    if lines := output():
        text += f": {error_message(lines, prepared.qemu.path)}"
    tag = prepared.request.snapshot
    text += f". {tag!r} needs the memory, processors, devices and QEMU with which it was saved"
    return QemuError(text + ("; the disks are now as they were then" if changed else ""), name)
