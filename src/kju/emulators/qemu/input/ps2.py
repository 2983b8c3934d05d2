"""SHELL: the gauges of PS/2 devices.

Source:
    QEMU's hw/input/ps2.c (the queue), hw/input/pckbd.c (the status register, read without side
    effect); the BIOS data area at 0x41a and 0x41c.
"""

from __future__ import annotations

import asyncio
import re

from ...input.pace import Gauge
from ..qmp import Qmp

#: Seconds after which a BIOS's buffer that does not move, and is not empty, is a leftover.
LEFTOVER_AGE = 1.0
#: Seconds for which a BIOS's buffer that did not move is not read again: a guest takes longer than
#: that to start one.
BIOS_INTERVAL = 0.25

_PRINT, _PAUSE, _EXTENDED = 0x54, 0xC6, 0x80
_VALUE = re.compile(r"0x([0-9a-fA-F]+)\s*$")
_PAIR = re.compile(r":\s*0x([0-9a-fA-F]{4})\s+0x([0-9a-fA-F]{4})")


class Ps2(Gauge):
    """The PS/2 keyboard of a PC."""

    name = "ps2"
    #: QEMU's queue has 16 bytes; the rest is for the release of held keys.
    room = 12

    def __init__(self, qmp: Qmp) -> None:
        super().__init__()
        self._qmp = qmp
        self._bios = BiosBuffer()
        self._bios_seen = float("-inf")

    async def is_there(self) -> bool:
        """Return whether the machine has one: a missing port reads as all ones."""
        return await self._status() != 0xFF

    def cost(self, key: int, down: bool) -> int:
        """Return the bytes in scan code set 2; the other sets take fewer."""
        if key in (_PRINT, _PAUSE):
            return 8
        return (1 if down else 2) + (1 if key & _EXTENDED else 0)

    async def is_empty(self) -> bool:
        """Return whether no byte waits in the controller, and no key in a BIOS's buffer."""
        if not await self.is_idle():
            return False
        now = asyncio.get_running_loop().time()
        # By now the first keys are in a BIOS's buffer, if a BIOS reads them.
        if not self._bios.used and now - self._bios_seen < BIOS_INTERVAL:
            return True
        self._bios_seen = now
        return self._bios.is_empty(*await self._bios_pointers(), now)

    async def is_idle(self) -> bool:
        """Return whether no byte waits in the controller."""
        return not await self._status() & 1

    async def _status(self) -> int:
        found = _VALUE.search(await self._qmp.monitor("i /1bx 0x64"))
        return int(found[1], 16) if found else 0xFF

    async def _bios_pointers(self) -> tuple[int, int]:
        found = _PAIR.search(await self._qmp.monitor("xp /2hx 0x41a"))
        return (int(found[1], 16), int(found[2], 16)) if found else (0, 0)


class Ps2Mouse(Gauge):
    """The PS/2 mouse of a PC.

    Args:
        keyboard: The keyboard of the same controller.
    """

    name = "ps2 mouse"
    #: QEMU's queue has 16 bytes, a report up to four; one that does not fit is never sent.
    room = 4

    def __init__(self, keyboard: Ps2) -> None:
        super().__init__()
        self._keyboard = keyboard

    async def is_empty(self) -> bool:
        """Return whether no byte waits in the controller."""
        return await self._keyboard.is_idle()


class BiosBuffer:
    """A BIOS's keyboard buffer, observed by its two pointers. I/O-free.

    They move only while something reads keys through the BIOS; an operating system leaves them.

    Attributes:
        used: Whether keys go through it, by the pointers' movement.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self.used = False

    def is_empty(self, head: int, tail: int, now: float) -> bool:
        """Return whether it holds no key, or is unused.

        Args:
            head: The address of the next key to read.
            tail: The address for the next key.
            now: The time in seconds.
        """
        seen, self._seen = self._seen, (head, tail)
        if seen != self._seen:
            self._since = now
            self.used = self.used or seen is not None
        elif now - self._since > LEFTOVER_AGE:
            self.used = False
        return not self.used or head == tail
