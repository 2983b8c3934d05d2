"""SHELL: the two migrations of a fork: a frozen guest to a file, and its state into another QEMU.

- The guest is paused. QEMU writes each page that is not zero once, and the state of the devices.
- Afterwards no capability is set: a snapshot that is saved later must not use `mapped-ram`.
- A guest that was paused before has active disks again, so that it can be saved and frozen again.

Source:
    migrate, migrate-incoming, query-migrate: qapi/migration.json of QEMU.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from ....errors import ForkError, QemuError
from ..qmp import Qmp

#: Bytes per second: QEMU's default of 128 MiB would pause the guest for seconds.
_BANDWIDTH = 1 << 42
#: Seconds between two looks at a migration; a load takes 3 ms.
_POLL_SECONDS = 0.002
#: Seconds for a migration; a gigabyte takes one on an idle computer.
TIMEOUT = 600.0
#: Seconds for the end of a migration that was cancelled.
_CANCEL_TIMEOUT = 30.0


async def check_blockers(qmp: Qmp) -> None:
    """Refuse a guest with a device that QEMU cannot save.

    Raises:
        ForkError: The message has QEMU's reasons.
    """
    status = await qmp.execute("query-migrate")
    if reasons := status.get("blocked-reasons"):
        why = "; ".join(map(str, reasons))[:400]
        raise ForkError(
            f"this machine cannot be frozen, because QEMU cannot save its state: {why}. Start it"
            " without that device"
        )


async def memory_name(qmp: Qmp) -> str:
    """Return QEMU's name of the block with the guest's memory.

    Raises:
        ForkError: The board's memory is not in one block.
    """
    try:
        path = await qmp.execute("qom-get", {"path": "/machine", "property": "memory-backend"})
    except QemuError:
        path = ""
    name = str(path).rpartition("/")[2]
    if not name:
        raise ForkError(
            "this machine cannot be frozen: its board has no memory of its own in one piece, as"
            " with -numa or on some boards. Leave out -numa, or use another machine type (-M)"
        )
    return name


async def write_state(qmp: Qmp, path: Path) -> None:
    """Write the paused guest's memory and the state of its devices to a file.

    Raises:
        QemuError: QEMU could not; the guest can go on.
    """
    async with _mapped_ram(qmp):
        await qmp.execute("migrate-set-parameters", {"max-bandwidth": _BANDWIDTH})
        await qmp.execute("migrate", {"uri": f"file:{path}"})
        await _completed(qmp, "the guest's state could not be saved")


async def load(qmp: Qmp, path: Path) -> None:
    """Load the state of a frozen guest into a QEMU that waits for it.

    Raises:
        QemuError: QEMU could not: it must be ended.
    """
    async with _mapped_ram(qmp):
        await qmp.execute("migrate-incoming", {"uri": f"file:{path}"})
        await _completed(qmp, "the state of the frozen machine could not be loaded")


async def activate_disks(qmp: Qmp, version: tuple[int, ...]) -> None:
    """Let QEMU use the disks of a paused guest again: a migration leaves them inactive."""
    if version >= _SET_ACTIVE_SINCE:
        await qmp.execute("blockdev-set-active", {"active": True})


#: Since this version QEMU has ``blockdev-set-active``.
_SET_ACTIVE_SINCE = (10, 0)


async def check_state(qmp: Qmp, version: tuple[int, ...]) -> None:
    """Refuse to freeze a paused guest that QEMU cannot save, or could not use afterwards.

    Raises:
        ForkError: QEMU is older than 10.0, or the guest has not run since the last freeze.
    """
    status = await qmp.execute("query-status")
    if status.get("running"):
        return
    if status.get("status") == "postmigrate":
        raise ForkError(
            "this machine has not run since it was frozen: use the base of that freeze, or let the"
            " machine run first (kju resume NAME)"
        )
    if version < _SET_ACTIVE_SINCE:
        raise ForkError(
            "a paused machine can be frozen with QEMU 10.0 or newer only; let it run first:"
            " kju resume NAME"
        )


@contextlib.asynccontextmanager
async def _mapped_ram(qmp: Qmp) -> AsyncIterator[None]:
    await _set_mapped_ram(qmp, on=True)
    try:
        yield
    finally:
        with contextlib.suppress(QemuError):
            await _set_mapped_ram(qmp, on=False)


async def _set_mapped_ram(qmp: Qmp, *, on: bool) -> None:
    capability = {"capability": "mapped-ram", "state": on}
    await qmp.execute("migrate-set-capabilities", {"capabilities": [capability]})


async def _completed(qmp: Qmp, failure: str) -> None:
    """Wait for the end of a migration.

    Raises:
        QemuError: It has failed, or was cancelled because it took longer than `TIMEOUT`.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            why = await _failure(qmp)
    except TimeoutError:
        await qmp.execute("migrate_cancel")
        why = f"it took longer than {TIMEOUT:.0f} s"
        # Until it has ended, QEMU writes to the file and does not let the guest run.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                await _failure(qmp)
    if why:
        raise QemuError(f"{failure}: {why}")


async def _failure(qmp: Qmp) -> str:
    """Return why a migration has failed, once it has ended; empty if it has completed."""
    while True:
        # While it writes much at once, QEMU does not answer.
        status = await qmp.execute("query-migrate", timeout=TIMEOUT)
        match status.get("status"):
            case "completed":
                return ""
            case "failed" | "cancelled":
                why = status.get("error-desc") or "QEMU reports no reason"
                return " ".join(str(why).split())[:400]
        await asyncio.sleep(_POLL_SECONDS)
