"""SHELL: whether the guest has taken the keys that were sent.

QEMU drops a key for which a keyboard's queue has no room, and says nothing. So keys are sent in
batches that fit, and the next one when the guest has emptied the queue. How that is seen:

| keyboard | its queue                   | the guest has taken everything when                 |
|----------|-----------------------------|-----------------------------------------------------|
| PS/2     | 16 bytes                    | the controller's status says that no byte waits     |
| virtio   | the guest's own, 64 events  | the guest has given every buffer back               |
| USB      | 16 keys, polled each 8 ms   | QEMU traces that it has become empty                |

A BIOS takes keys from the controller at once and keeps 15; where its buffer is seen to move, it
has to be empty too. Any other keyboard gets a key every `STEP` seconds.

Source:
    QEMU's hw/input/ps2.c, hid.c and virtio-input.c (the queues), hw/input/pckbd.c (the status
    register, read without side effect); the BIOS data area at 0x41a and 0x41c; virtio 1.2, 2.7.6
    (the available ring).
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import re
from typing import Any

from ....errors import InputError, KjuError, QemuError
from ...tasks import Tasks
from ..qmp import Qmp
from .events import NO_KEY
from .traces import Traces

log = logging.getLogger(__name__)

#: Seconds between two keys for a keyboard of which nothing is known: 50 keys a second pressed and
#: released is what the slowest, a USB one, was measured to take.
STEP = 0.010
#: Seconds to wait for a trace event before the caller looks at its watch.
MOMENT = 0.05
#: Seconds that a BIOS's buffer may stand still, not empty, before it is believed to be left over.
LEFT_OVER = 1.0
#: Seconds for which a BIOS's buffer that did not move is not looked at again: in less time a guest
#: does not start one.
BIOS_KNOWN = 0.25
#: Seconds for which packets are traced after the last look at them.
TRACED = 2.0

_PRINT, _PAUSE, _EXTENDED = 0x54, 0xC6, 0x80
_VALUE = re.compile(r"0x([0-9a-fA-F]+)\s*$")
_PAIR = re.compile(r":\s*0x([0-9a-fA-F]{4})\s+0x([0-9a-fA-F]{4})")
_KEYBOARD = re.compile(r"Device \d+\.(\d+), .*Product QEMU USB Keyboard")
_TABLET = re.compile(r"Device (\d+)\.\d+, Port ([\d.]+), .*Product QEMU USB (?:Tablet|Mouse)")
#: What QEMU says where it has no keyboard.
NO_HANDLER = "handler not found"
NO_KEYBOARD = (
    "this machine has no keyboard; start it with one, such as: -device usb-kbd (its board needs a"
    " USB bus) or -device virtio-keyboard-device"
)
_QUEUE_EMPTY = "hid_kbd_queue_empty"
_PACKET = "usb_packet_state_change"
#: One of the two is traced for a key, which one depends on QEMU's version.
_KEYS = ("input_event_key_qcode", "input_event_key_number")


class Gauge(abc.ABC):
    """Looks at one keyboard's queue.

    Attributes:
        name: What keyboard it is, for people.
        room: What may be in the queue at once, in the units of `cost`.
        started: Whether the guest has begun to read it.
        reports: Whether it passes on reports, which QEMU has to end.
    """

    name = ""
    room = 1
    started = True
    reports = False

    def __init__(self) -> None:
        self._sent = 0.0

    def cost(self, key: int, down: bool) -> int:
        """What pressing or releasing a key takes of the room."""
        return 1

    def sending(self, count: int) -> None:
        """So many steps are sent next."""
        self._sent = asyncio.get_running_loop().time()

    async def begin(self) -> None:
        """A request begins, whose input goes there.

        Raises:
            QemuError: QEMU does not tell enough.
        """
        return

    def forget(self) -> None:
        """Nothing was taken for long: what is counted may be wrong."""
        return

    @abc.abstractmethod
    async def taken(self) -> bool:
        """Whether the guest has taken everything; may wait a moment for that.

        Raises:
            QemuError: QEMU does not say.
        """


class Unknown(Gauge):
    """A keyboard of which nothing is known: it is given time."""

    name = "unknown"

    async def taken(self) -> bool:
        """Wait for as long as one key may take."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._sent + STEP - loop.time()))
        return True


class Absent(Gauge):
    """A keyboard that the guest has not started yet, though it gets the keys.

    Args:
        kind: What keyboard it is.
    """

    started = False

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.name = f"{kind}, not started"

    async def taken(self) -> bool:
        """It takes nothing."""
        await asyncio.sleep(MOMENT)
        return False


class Missing(Gauge):
    """No keyboard at all: QEMU has nothing to give a key to."""

    name = "none"
    started = False

    async def begin(self) -> None:
        """Refuse the request.

        Raises:
            InputError: Always.
        """
        raise InputError(NO_KEYBOARD)

    async def taken(self) -> bool:
        """Refuse, as `begin` does."""
        await self.begin()
        return False


async def has_keyboard(qmp: Qmp) -> bool:
    """Whether QEMU has anything to give keys to; the key sent is one that no keyboard has."""
    try:
        await qmp.execute("input-send-event", {"events": [NO_KEY]})
    except QemuError as error:
        return NO_HANDLER not in str(error)
    return True


class Ps2(Gauge):
    """The PS/2 keyboard of a PC."""

    name = "ps2"
    #: QEMU's queue has 16 bytes; what is left lets a key be released that is held.
    room = 12

    def __init__(self, qmp: Qmp) -> None:
        super().__init__()
        self._qmp = qmp
        self._bios = BiosBuffer()
        self._bios_seen = float("-inf")

    async def is_there(self) -> bool:
        """Whether the machine has one: a port that nobody answers reads as all ones."""
        return await self._status() != 0xFF

    def cost(self, key: int, down: bool) -> int:
        """Bytes of scan code set 2; of the set a guest may have chosen instead there are less."""
        if key in (_PRINT, _PAUSE):
            return 8
        return (1 if down else 2) + (1 if key & _EXTENDED else 0)

    async def taken(self) -> bool:
        """Whether no byte waits in the controller, and no key in a BIOS's buffer."""
        if not await self.is_idle():
            return False
        now = asyncio.get_running_loop().time()
        # By now the first keys are in a BIOS's buffer, if anybody's.
        if not self._bios.used and now - self._bios_seen < BIOS_KNOWN:
            return True
        self._bios_seen = now
        return self._bios.taken(*await self._bios_pointers(), now)

    async def is_idle(self) -> bool:
        """Whether no byte waits in the controller."""
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
        keyboard: Of the same controller.
    """

    name = "ps2 mouse"
    #: QEMU's queue has 16 bytes, a report up to four; one that does not fit is never sent.
    room = 4

    def __init__(self, keyboard: Ps2) -> None:
        super().__init__()
        self._keyboard = keyboard

    async def taken(self) -> bool:
        """Whether no byte waits in the controller."""
        return await self._keyboard.is_idle()


class BiosBuffer:
    """A BIOS's keyboard buffer, told by its two pointers. I/O-free.

    An operating system leaves them as they were; only where they move is there anybody who
    reads keys through the BIOS.

    Attributes:
        used: Whether keys go through it, as far as can be seen.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self.used = False

    def taken(self, head: int, tail: int, now: float) -> bool:
        """Whether it holds no key, or is nobody's.

        Args:
            head: Where the next key is read.
            tail: Where the next key is put.
            now: Seconds.
        """
        seen, self._seen = self._seen, (head, tail)
        if seen != self._seen:
            self._since = now
            self.used = self.used or seen is not None
        elif now - self._since > LEFT_OVER:
            self.used = False
        return not self.used or head == tail


class Virtio(Gauge):
    """A virtio keyboard.

    Args:
        qmp: Leads to QEMU.
        path: Of the device, as ``x-query-virtio`` has it.
    """

    name = "virtio"
    #: 64 buffers; a key takes two, itself and the end of the report.
    room = 30
    reports = True

    def __init__(self, qmp: Qmp, path: str) -> None:
        super().__init__()
        self._qmp = qmp
        self.path = path

    async def taken(self) -> bool:
        """Whether every buffer is available."""
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
    """Where the input device of this kind is that the guest has started; empty for none.

    Raises:
        QemuError: QEMU does not say; before 7.2 it cannot.
    """
    for device in await qmp.execute("x-query-virtio"):
        if device["name"] != "virtio-input":
            continue
        at = {"path": device["path"]}
        if await qmp.execute("qom-get", {**at, "property": "type"}) == kind:
            status = await qmp.execute("x-query-virtio-status", at)
            if status["started"] and not _is_elsewhere(status):
                return str(device["path"])
    return ""


async def waiting_virtio(qmp: Qmp, kind: str) -> bool:
    """Whether there is an input device of this kind, and the guest has started none of them.

    Raises:
        QemuError: QEMU does not say; before 7.2 it cannot.
    """
    found = False
    for device in await qmp.execute("x-query-virtio"):
        at = {"path": device["path"]}
        if await qmp.execute("qom-get", {**at, "property": "type"}) == kind:
            if (await qmp.execute("x-query-virtio-status", at))["started"]:
                return False
            found = True
    return found


def _is_elsewhere(status: dict[str, Any]) -> bool:
    """Whether a ring has another form, or its address is not the guest's physical one."""
    said = " ".join(status["guest-features"].get("transports", []))
    return "RING_PACKED" in said or "ACCESS_PLATFORM" in said or "IOMMU_PLATFORM" in said


class Usb(Gauge):
    """A USB keyboard.

    QEMU traces each key that it is given and each time the queue becomes empty, in the order in
    which that happens: what becomes empty behind the last key has been taken whole. A key is often
    taken before the next one is there, so "empty" alone says nothing.

    Args:
        qmp: Leads to QEMU.
        traces: What it prints goes through here.
    """

    name = "usb"
    #: QEMU's queue has 16 entries; what is left lets keys be released that are held.
    room = 13

    def __init__(self, qmp: Qmp, traces: Traces) -> None:
        super().__init__()
        self._qmp = qmp
        self._sent_keys = self._seen_keys = 0
        self._empty = asyncio.Event()
        self._begun = False
        traces.listen(_QUEUE_EMPTY, self._is_empty)
        for name in _KEYS:
            traces.listen(name, self._has_key)

    async def begin(self) -> None:
        """Have QEMU trace the queue, from now on."""
        if not self._begun:
            for name in (*_KEYS, _QUEUE_EMPTY):
                await _trace(self._qmp, name, enable=True)
            self._begun = True

    def cost(self, key: int, down: bool) -> int:
        """Entries of the queue: a key with a prefix takes two."""
        return 3 if key == _PAUSE else 2 if key & _EXTENDED else 1

    def sending(self, count: int) -> None:
        """So many steps are sent next."""
        super().sending(count)
        self._sent_keys += count
        self._empty.clear()

    def forget(self) -> None:
        """What was sent may not have been traced: begin to count anew."""
        self._sent_keys = self._seen_keys
        self._empty.set()

    def _has_key(self, line: bytes) -> None:
        self._seen_keys += 1
        self._empty.clear()

    def _is_empty(self, line: bytes) -> None:
        if self._seen_keys >= self._sent_keys:
            # Whoever else types would be counted as ours for ever.
            self._sent_keys = self._seen_keys
            self._empty.set()

    async def taken(self) -> bool:
        """Wait a moment for QEMU to say that the queue is empty."""
        return await _is_set_soon(self._empty)


class UsbTablet(Gauge):
    """A USB tablet or mouse: each packet that completes has taken one report.

    QEMU traces the packets of all USB devices, disks too, so it does that only around requests.

    Args:
        qmp: Leads to QEMU.
        traces: What it prints goes through here.
    """

    name = "usb tablet"
    #: QEMU's queue has 16 entries, of which it fills 15.
    room = 12

    def __init__(self, qmp: Qmp, traces: Traces) -> None:
        super().__init__()
        self._qmp = qmp
        self._where = b""
        self._left = 0
        self._end: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks = Tasks()
        traces.listen(_PACKET, self._packet)

    def is_at(self, bus: str, port: str) -> None:
        """Which device's packets count."""
        self._where = f"bus {bus}, port {port}, ep 1,".encode()

    async def begin(self) -> None:
        """Have QEMU trace packets, for a while."""
        loop = asyncio.get_running_loop()
        if self._end is not None:
            self._end.cancel()
        else:
            # Of what was sent before nothing is heard; by then it has been taken.
            await asyncio.sleep(max(0.0, self._sent + self.room * STEP - loop.time()))
            self._left = 0
            self._empty.set()
            await _trace(self._qmp, _PACKET, enable=True)
        self._end = loop.call_later(TRACED, self._end_tracing)

    def _end_tracing(self) -> None:
        self._end = None
        self._tasks.begin(self._trace_no_more())

    async def _trace_no_more(self) -> None:
        with contextlib.suppress(KjuError):
            await _trace(self._qmp, _PACKET, enable=False)

    def sending(self, count: int) -> None:
        """So many reports are sent next."""
        super().sending(count)
        self._left += count
        self._empty.clear()

    def forget(self) -> None:
        """Nothing was taken for long: what is counted may be wrong."""
        self._left = 0
        self._empty.set()

    def _packet(self, line: bytes) -> None:
        if self._where in line and line.rstrip().endswith(b"-> complete"):
            self._left = max(0, self._left - 1)
            if not self._left:
                self._empty.set()

    async def taken(self) -> bool:
        """Wait a moment for as many packets as reports."""
        return await _is_set_soon(self._empty)


async def _trace(qmp: Qmp, name: str, *, enable: bool) -> None:
    await qmp.execute("trace-event-set-state", {"name": name, "enable": enable})


async def _is_set_soon(event: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await event.wait()
    return event.is_set()


async def _if_it_tells(gauge: Gauge) -> Gauge:
    """This gauge, or one that knows nothing where QEMU has no such trace event."""
    try:
        await gauge.begin()
    except KjuError as error:
        log.info("%s: nothing is told of its queue: %s", gauge.name, error)
        return Unknown()
    return gauge


class Gauges:
    """The keyboards and pointers of one machine.

    QEMU gives keys to a virtio keyboard that the guest has started, else to a USB one, else to
    the PS/2 one; of its pointers it says itself which one is used.

    Args:
        qmp: Leads to QEMU.
        traces: What it prints goes through here; None where it prints them elsewhere.
    """

    def __init__(self, qmp: Qmp, traces: Traces | None) -> None:
        self._qmp = qmp
        self._virtio: Virtio | None = None
        self._virtio_tablet: Virtio | None = None
        self._usb = Usb(qmp, traces) if traces else Unknown()
        self._usb_tablet = UsbTablet(qmp, traces) if traces else None
        self._ps2 = Ps2(qmp)
        self._ps2_mouse = Ps2Mouse(self._ps2)
        self._unknown = Unknown()

    async def keyboard(self) -> Gauge:
        """The one for the keyboard that gets the keys now."""
        with contextlib.suppress(KjuError, KeyError, TypeError):
            if path := await started_virtio(self._qmp, "virtio-keyboard-device"):
                if self._virtio is None or self._virtio.path != path:
                    self._virtio = Virtio(self._qmp, path)
                return self._virtio
        with contextlib.suppress(KjuError):
            if address := _KEYBOARD.search(await self._qmp.monitor("info usb")):
                # Until the guest has given it one, what is typed is thrown away when it does.
                return await _if_it_tells(self._usb) if int(address[1]) else Absent("usb")
            if await self._ps2.is_there():
                return self._ps2
        with contextlib.suppress(KjuError, KeyError, TypeError):
            if await waiting_virtio(self._qmp, "virtio-keyboard-device"):
                return Absent("virtio")
        with contextlib.suppress(KjuError):
            if not await has_keyboard(self._qmp):
                return Missing()
        return self._unknown

    async def pointer(self) -> Gauge:
        """The one for the pointer that is used now."""
        with contextlib.suppress(KjuError, KeyError, TypeError, StopIteration):
            mice = await self._qmp.execute("query-mice")
            name = next(mouse["name"] for mouse in mice if mouse["current"])
            if "PS/2" in name:
                return self._ps2_mouse
            if "HID" in name and self._usb_tablet is not None:
                if at := _TABLET.search(await self._qmp.monitor("info usb")):
                    self._usb_tablet.is_at(*at.groups())
                    return await _if_it_tells(self._usb_tablet)
            elif path := await started_virtio(self._qmp, "virtio-tablet-device"):
                if self._virtio_tablet is None or self._virtio_tablet.path != path:
                    self._virtio_tablet = Virtio(self._qmp, path)
                return self._virtio_tablet
        return self._unknown
