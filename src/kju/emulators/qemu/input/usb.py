"""SHELL: the gauges of USB keyboards and pointers, by QEMU's trace events.

Source:
    QEMU's hw/input/hid.c (the queues), and its trace-events files.
"""

from __future__ import annotations

import asyncio
import contextlib

from ....errors import KjuError
from ....keys.names import EXTENDED, NUMBERS
from ...input.pace import MOMENT, STEP, Gauge
from ...tasks import Tasks
from ..qmp import Qmp
from ..stderr import Traces

#: Seconds for which packets are still traced after the last request.
_TRACE_TIME = 2.0

_PAUSE = NUMBERS["pause"]
_QUEUE_EMPTY = "hid_kbd_queue_empty"
_PACKET = "usb_packet_state_change"
#: QEMU traces one of the two for a key, depending on its version.
_KEYS = ("input_event_key_qcode", "input_event_key_number")


class Usb(Gauge):
    """A USB keyboard, whose queue the guest polls each 8 ms.

    QEMU traces each key that it receives, and each time when the queue becomes empty, in the order
    of these events. The guest has taken everything when the queue becomes empty after the last key.
    "Empty" alone is not enough: the guest often takes a key before the next one arrives.

    Args:
        qmp: The connection to QEMU.
        traces: Receives QEMU's trace events.
    """

    name = "usb"
    # QEMU's queue has 16 entries; three stay free for the release of held keys.
    room = 13

    def __init__(self, qmp: Qmp, traces: Traces) -> None:
        super().__init__()
        self._qmp = qmp
        self._sent_keys = self._seen_keys = 0
        self._empty = asyncio.Event()
        self._begun = False
        traces.listen(_QUEUE_EMPTY, self._note_empty)
        for name in _KEYS:
            traces.listen(name, self._count_key)

    async def begin(self) -> None:
        """Switch on QEMU's traces of the queue."""
        if not self._begun:
            for name in (*_KEYS, _QUEUE_EMPTY):
                await _trace(self._qmp, name, enable=True)
            self._begun = True

    def cost(self, key: int, down: bool) -> int:
        """Return the number of entries in the queue: two for a key with a prefix."""
        return 3 if key == _PAUSE else 2 if key & EXTENDED else 1

    def sending(self, count: int) -> None:
        """Record that *count* steps are sent next."""
        super().sending(count)
        self._sent_keys += count
        self._empty.clear()

    def forget(self) -> None:
        """Restart the count: a part of the steps may not have been traced."""
        self._sent_keys = self._seen_keys
        self._empty.set()

    def _count_key(self, line: bytes) -> None:
        self._seen_keys += 1
        self._empty.clear()

    def _note_empty(self, line: bytes) -> None:
        if self._seen_keys >= self._sent_keys:
            # Otherwise the keys of another program would count as this client's for ever.
            self._sent_keys = self._seen_keys
            self._empty.set()

    async def is_empty(self) -> bool:
        """Wait `MOMENT` for QEMU to trace that the queue is empty."""
        return await _is_set_within_moment(self._empty)


class UsbTablet(Gauge):
    """A USB tablet or mouse: each completed packet has taken one report.

    QEMU traces the packets of all USB devices, disks too. So the trace is on only around requests.

    Args:
        qmp: The connection to QEMU.
        traces: Receives QEMU's trace events.
    """

    name = "usb tablet"
    # QEMU's queue has 16 entries, of which it fills 15.
    room = 12

    def __init__(self, qmp: Qmp, traces: Traces) -> None:
        super().__init__()
        self._qmp = qmp
        self._address = b""
        self._left = 0
        self._end: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks = Tasks()
        traces.listen(_PACKET, self._count_packet)

    def set_address(self, bus: str, port: str) -> None:
        """Set the address of the device whose packets are counted."""
        self._address = f"bus {bus}, port {port}, ep 1,".encode()

    async def begin(self) -> None:
        """Switch on QEMU's traces of packets for `_TRACE_TIME`."""
        loop = asyncio.get_running_loop()
        if self._end is not None:
            self._end.cancel()
        else:
            # Reports before now were not traced; after this time the guest has taken them.
            await asyncio.sleep(max(0.0, self._sent + self.room * STEP - loop.time()))
            self._left = 0
            self._empty.set()
            await _trace(self._qmp, _PACKET, enable=True)
        self._end = loop.call_later(_TRACE_TIME, self._end_tracing)

    def _end_tracing(self) -> None:
        self._end = None
        self._tasks.begin(self._switch_off())

    async def _switch_off(self) -> None:
        with contextlib.suppress(KjuError):
            await _trace(self._qmp, _PACKET, enable=False)

    def sending(self, count: int) -> None:
        """Record that *count* reports are sent next."""
        super().sending(count)
        self._left += count
        self._empty.clear()

    def forget(self) -> None:
        """Discard the count: it may be wrong."""
        self._left = 0
        self._empty.set()

    def _count_packet(self, line: bytes) -> None:
        if self._address in line and line.rstrip().endswith(b"-> complete"):
            self._left = max(0, self._left - 1)
            if not self._left:
                self._empty.set()

    async def is_empty(self) -> bool:
        """Wait `MOMENT` for as many packets as reports."""
        return await _is_set_within_moment(self._empty)


async def _trace(qmp: Qmp, name: str, *, enable: bool) -> None:
    await qmp.execute("trace-event-set-state", {"name": name, "enable": enable})


async def _is_set_within_moment(event: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await event.wait()
    return event.is_set()
