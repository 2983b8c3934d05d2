"""SHELL: the gauge of virtio input devices.

Source:
    QEMU's hw/input/virtio-input.c; virtio 1.2, 2.7.6 (the available ring).
"""

from __future__ import annotations

import re
from typing import Any

from ....errors import QemuError
from ...input.pace import Gauge
from ..qmp import Qmp

_PAIR = re.compile(r":\s*0x([0-9a-fA-F]{4})\s+0x([0-9a-fA-F]{4})")


class Virtio(Gauge):
    """A virtio keyboard.

    Args:
        qmp: The connection to QEMU.
        path: The device's, from ``x-query-virtio``.
    """

    name = "virtio"
    #: 64 buffers; a key takes two: itself and the end of the report.
    room = 30
    reports = True

    def __init__(self, qmp: Qmp, path: str) -> None:
        super().__init__()
        self._qmp = qmp
        self.path = path

    async def is_empty(self) -> bool:
        """Return whether every buffer is available."""
        queue = await self._qmp.execute(
            "x-query-virtio-queue-status", {"path": self.path, "queue": 0}
        )
        read = await self._qmp.monitor(f"xp /2hx {int(queue['vring-avail'])}")
        found = _PAIR.search(read)
        if found is None:
            raise QemuError(f"QEMU answered xp with {read!r}"[:200])
        available = int(found[2], 16)
        return (available - int(queue["last-avail-idx"])) & 0xFFFF >= int(queue["vring-num"])


async def started_virtio(qmp: Qmp, kind: str) -> str:
    """Return the path of the input device of this kind that the guest has started, or "".

    Raises:
        QemuError: QEMU cannot tell, as before 7.2.
    """
    for device in await qmp.execute("x-query-virtio"):
        if device["name"] != "virtio-input":
            continue
        at = {"path": device["path"]}
        if await qmp.execute("qom-get", {**at, "property": "type"}) == kind:
            status = await qmp.execute("x-query-virtio-status", at)
            if status["started"] and not _is_unreadable(status):
                return str(device["path"])
    return ""


async def waiting_virtio(qmp: Qmp, kind: str) -> bool:
    """Return whether there are input devices of this kind, and the guest has started none.

    Raises:
        QemuError: QEMU cannot tell, as before 7.2.
    """
    found = False
    for device in await qmp.execute("x-query-virtio"):
        at = {"path": device["path"]}
        if await qmp.execute("qom-get", {**at, "property": "type"}) == kind:
            if (await qmp.execute("x-query-virtio-status", at))["started"]:
                return False
            found = True
    return found


def _is_unreadable(status: dict[str, Any]) -> bool:
    """Return whether a ring is packed, or its address is not a physical one of the guest."""
    features = " ".join(status["guest-features"].get("transports", []))
    return any(f in features for f in ("RING_PACKED", "ACCESS_PLATFORM", "IOMMU_PLATFORM"))
