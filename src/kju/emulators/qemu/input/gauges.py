"""SHELL: gauges for the queue of a guest's keyboard or pointer, and the choice of the gauge.

QEMU drops a key without an error if a keyboard's queue has no room for it. So keys are sent in
batches that fit, each when the guest has emptied the queue. The queue is observed like this:

| keyboard | its queue                   | the guest has taken everything when                 |
|----------|-----------------------------|-----------------------------------------------------|
| PS/2     | 16 bytes                    | the controller's status says that no byte waits     |
| virtio   | the guest's own, 64 events  | the guest has given every buffer back               |
| USB      | 16 keys, polled each 8 ms   | QEMU traces that it has become empty (`usb`)        |

Any other keyboard gets a key every `STEP` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import Any

from ....errors import InputError, KjuError, QemuError
from ....keys.names import EXTENDED, NUMBERS
from ...input.pace import Gauge, NotStarted, TimedGauge
from ..qmp import Qmp
from ..stderr import Traces
from .events import NO_KEY
from .usb import Usb, UsbTablet

log = logging.getLogger(__name__)


_KEYBOARD = re.compile(r"Device \d+\.(\d+), .*Product QEMU USB Keyboard")
_TABLET = re.compile(r"Device (\d+)\.\d+, Port ([\d.]+), .*Product QEMU USB (?:Tablet|Mouse)")
#: QEMU's type of a touch screen.
TOUCH_SCREEN = "virtio-multitouch-device"
#: QEMU's error without a keyboard.
NO_HANDLER = "handler not found"
NO_KEYBOARD = (
    "this machine has no keyboard; start it with one, such as: -device usb-kbd (its board needs a"
    " USB bus) or -device virtio-keyboard-device"
)
#: Seconds after which a BIOS's buffer that does not move, and is not empty, counts as abandoned.
_LEFTOVER_AGE = 1.0
#: Seconds until an unused BIOS's buffer is read again: a guest takes longer to start using one.
_BIOS_INTERVAL = 0.25

_PRINT, _PAUSE = NUMBERS["print"], NUMBERS["pause"]
_VALUE = re.compile(r"0x([0-9a-fA-F]+)\s*$")
_PAIR = re.compile(r":\s*0x([0-9a-fA-F]{4})\s+0x([0-9a-fA-F]{4})")


class Ps2(Gauge):
    """The PS/2 keyboard of a PC.

    A BIOS takes keys from the controller at once and keeps 15 of them. While its buffer is in use,
    that has to be empty too.

    Source:
        QEMU's hw/input/ps2.c (the queue); hw/input/pckbd.c (the status register, which is read
        without side effect); the BIOS data area at 0x41a and 0x41c.
    """

    name = "ps2"
    # QEMU's queue has 16 bytes; four stay free for the release of held keys.
    room = 12

    def __init__(self, qmp: Qmp) -> None:
        super().__init__()
        self._qmp = qmp
        self._bios = BiosBuffer()
        self._bios_seen = float("-inf")

    async def exists(self) -> bool:
        """Return whether the machine has one: a missing port reads as all ones."""
        return await self._status() != 0xFF

    def cost(self, key: int, down: bool) -> int:
        """Return the number of bytes in scan code set 2; the other sets take fewer."""
        if key in (_PRINT, _PAUSE):
            return 8
        return (1 if down else 2) + (1 if key & EXTENDED else 0)

    async def is_empty(self) -> bool:
        """Return whether no byte waits in the controller, and no key in a BIOS's buffer."""
        if not await self.is_idle():
            return False
        now = asyncio.get_running_loop().time()
        # The controller is empty. If a BIOS reads the keys, they are in its buffer by now.
        if not self._bios.used and now - self._bios_seen < _BIOS_INTERVAL:
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


class _Ps2Mouse(Gauge):
    """The PS/2 mouse of a PC.

    Args:
        keyboard: The keyboard of the same controller.
    """

    name = "ps2 mouse"
    # QEMU's queue has 16 bytes, and a report up to four. QEMU never sends one that did not fit.
    room = 4

    def __init__(self, keyboard: Ps2) -> None:
        super().__init__()
        self._keyboard = keyboard

    async def is_empty(self) -> bool:
        """Return whether no byte waits in the controller."""
        return await self._keyboard.is_idle()


class BiosBuffer:
    """A BIOS's keyboard buffer, observed by its two pointers. I/O-free.

    The pointers move only while a program reads keys through the BIOS; an operating system does not
    touch them.

    Attributes:
        used: Whether keys pass through the buffer: its pointers move.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self.used = False

    def is_empty(self, head: int, tail: int, now: float) -> bool:
        """Return whether the buffer holds no key, or is unused.

        Args:
            head: The address from which the next key is read.
            tail: The address to which the next key is written.
            now: The time in seconds.
        """
        seen, self._seen = self._seen, (head, tail)
        if seen != self._seen:
            self._since = now
            self.used = self.used or seen is not None
        elif now - self._since > _LEFTOVER_AGE:
            self.used = False
        return not self.used or head == tail


class Virtio(Gauge):
    """A virtio input device.

    Args:
        qmp: The connection to QEMU.
        path: The device's path, from ``x-query-virtio``.

    Source:
        QEMU's hw/input/virtio-input.c; virtio 1.2, 2.7.6 (the available ring).
    """

    name = "virtio"
    # The guest provides 64 buffers. A key takes two: itself and the end of its report.
    room = 30
    reports = True

    def __init__(self, qmp: Qmp, path: str) -> None:
        super().__init__()
        self._qmp = qmp
        self.path = path

    async def is_empty(self) -> bool:
        """Return whether every buffer is available."""
        # The guest puts a buffer back into the available ring when it has read the event. QEMU does
        # not report the ring's index, so it is read from the guest's memory.
        queue = await self._qmp.execute(
            "x-query-virtio-queue-status", {"path": self.path, "queue": 0}
        )
        read = await self._qmp.monitor(f"xp /2hx {int(queue['vring-avail'])}")
        found = _PAIR.search(read)
        if found is None:
            raise QemuError(f"QEMU answered xp with {read!r}"[:200])
        available = int(found[2], 16)  # the first number is the ring's flags
        return (available - int(queue["last-avail-idx"])) & 0xFFFF >= int(queue["vring-num"])


async def started_virtio(qmp: Qmp, kind: str) -> str | None:
    """Return the path of the input device of this kind that the guest has started.

    Returns:
        Empty if it has started none, None if the machine has none.

    Raises:
        QemuError: QEMU is older than 7.2, and has no such command.
    """
    found: str | None = None
    for device in await qmp.execute("x-query-virtio"):
        if device["name"] != "virtio-input":
            continue
        at = {"path": device["path"]}
        if await qmp.execute("qom-get", {**at, "property": "type"}) == kind:
            status = await qmp.execute("x-query-virtio-status", at)
            if status["started"] and not _is_unreadable(status):
                return str(device["path"])
            found = ""
    return found


async def _waiting_virtio(qmp: Qmp, kind: str) -> bool:
    """Return whether the machine has input devices of this kind, and the guest has started none.

    Raises:
        QemuError: QEMU is older than 7.2, and has no such command.
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
    """Return whether a ring is packed, or its address is not a physical address of the guest."""
    features = " ".join(status["guest-features"].get("transports", []))
    return any(f in features for f in ("RING_PACKED", "ACCESS_PLATFORM", "IOMMU_PLATFORM"))


class NoKeyboard(Gauge):
    """The gauge of a machine without a keyboard."""

    name = "none"
    started = False

    async def begin(self) -> None:
        """Refuse the request.

        Raises:
            InputError: Always.
        """
        raise InputError(NO_KEYBOARD)

    async def is_empty(self) -> bool:
        """Refuse, as `begin` does."""
        await self.begin()
        return False


async def _has_keyboard(qmp: Qmp) -> bool:
    """Return whether QEMU has a keyboard, by sending a key that no keyboard has."""
    try:
        await qmp.execute("input-send-event", {"events": [NO_KEY]})
    except QemuError as error:
        return NO_HANDLER not in str(error)
    return True


async def _usb_devices(qmp: Qmp) -> str:
    """Return QEMU's list of USB devices; empty if the machine has no USB, which is an error."""
    try:
        return await qmp.monitor("info usb")
    except QemuError:
        return ""


async def _or_timed(gauge: Gauge) -> Gauge:
    """Return this gauge, or a timed one if QEMU does not have its trace events."""
    try:
        await gauge.begin()
    except KjuError as error:
        log.info("%s: the queue cannot be observed: %s", gauge.name, error)
        return TimedGauge()
    return gauge


class Gauges:
    """The gauges of one machine's keyboards and pointers.

    QEMU sends keys to a virtio keyboard that the guest has started, else to a USB one, else to the
    PS/2 one. It reports which pointer it uses.

    Args:
        qmp: The connection to QEMU.
        traces: Receives QEMU's trace events; None if they go elsewhere.
    """

    def __init__(self, qmp: Qmp, traces: Traces | None) -> None:
        self._qmp = qmp
        self._virtio: Virtio | None = None
        self._virtio_tablet: Virtio | None = None
        self._usb = Usb(qmp, traces) if traces else TimedGauge()
        self._usb_tablet = UsbTablet(qmp, traces) if traces else None
        self._ps2 = Ps2(qmp)
        self._ps2_mouse = _Ps2Mouse(self._ps2)
        self._timed = TimedGauge()
        #: The pointer's number for `mouse_set`; None if the machine has no touch screen.
        self._pointer_beside_touch: int | None = None

    async def keyboard(self) -> Gauge:
        """Return the gauge of the keyboard that receives keys now."""
        has_virtio = True
        with contextlib.suppress(KjuError, KeyError, TypeError):
            path = await started_virtio(self._qmp, "virtio-keyboard-device")
            has_virtio = path is not None
            if path:
                if self._virtio is None or self._virtio.path != path:
                    self._virtio = Virtio(self._qmp, path)
                return self._virtio
        with contextlib.suppress(KjuError):
            if address := _KEYBOARD.search(await _usb_devices(self._qmp)):
                # Keys that wait while the guest gives the keyboard its address are lost.
                return await _or_timed(self._usb) if int(address[1]) else NotStarted("usb")
            if await self._ps2.exists():
                self._ps2.alone = not has_virtio
                return self._ps2
        with contextlib.suppress(KjuError, KeyError, TypeError):
            if await _waiting_virtio(self._qmp, "virtio-keyboard-device"):
                return NotStarted("virtio")
        with contextlib.suppress(KjuError):
            if not await _has_keyboard(self._qmp):
                return NoKeyboard()
        return self._timed

    async def pointer(self) -> Gauge:
        """Return the gauge of the pointer that is used now."""
        with contextlib.suppress(KjuError, KeyError, TypeError, StopIteration):
            mice = await self._qmp.execute("query-mice")
            mouse = next(mouse for mouse in mice if mouse["current"])
            has_touch = await started_virtio(self._qmp, TOUCH_SCREEN) is not None
            self._pointer_beside_touch = mouse["index"] if has_touch else None
            name = mouse["name"]
            if "PS/2" in name:
                return self._ps2_mouse
            if "HID" in name and self._usb_tablet is not None:
                if at := _TABLET.search(await _usb_devices(self._qmp)):
                    self._usb_tablet.set_address(*at.groups())
                    return await _or_timed(self._usb_tablet)
            elif path := await started_virtio(self._qmp, "virtio-tablet-device"):
                if self._virtio_tablet is None or self._virtio_tablet.path != path:
                    self._virtio_tablet = Virtio(self._qmp, path)
                return self._virtio_tablet
        return self._timed

    async def claim_buttons(self) -> None:
        """Let the pointer that gets the positions get the buttons too; before each request.

        QEMU sends buttons to the device with buttons that the guest has started last. That may be a
        touch screen, which is not in its list of mice: the guest would never get a right button,
        and the request would wait for reports that the pointer does not make.

        Source:
            QEMU's ui/input.c (qemu_input_find_handler, hmp_mouse_set).
        """
        if self._pointer_beside_touch is not None:
            with contextlib.suppress(KjuError):  # it was unplugged
                await self._qmp.monitor(f"mouse_set {self._pointer_beside_touch}")
