"""SHELL: whether the guest has taken the input that was sent: the choice of the gauge.

QEMU drops a key for which a keyboard's queue has no room, without an error. So keys are sent in
batches that fit, and the next batch when the guest has emptied the queue. It is observed like this:

| keyboard | its queue                   | the guest has taken everything when                 |
|----------|-----------------------------|-----------------------------------------------------|
| PS/2     | 16 bytes                    | the controller's status says that no byte waits     |
| virtio   | the guest's own, 64 events  | the guest has given every buffer back               |
| USB      | 16 keys, polled each 8 ms   | QEMU traces that it has become empty                |

A BIOS takes keys from the controller at once and keeps 15; while its buffer is in use, that has to
be empty too. Any other keyboard gets a key every `STEP` seconds.
"""

from __future__ import annotations

import contextlib
import logging
import re

from ....errors import InputError, KjuError, QemuError
from ...input.pace import Gauge, NotStarted, TimedGauge
from ..qmp import Qmp
from ..stderr import Traces
from .events import NO_KEY
from .ps2 import Ps2, Ps2Mouse
from .usb import Usb, UsbTablet
from .virtio import Virtio, started_virtio, waiting_virtio

log = logging.getLogger(__name__)

_KEYBOARD = re.compile(r"Device \d+\.(\d+), .*Product QEMU USB Keyboard")
_TABLET = re.compile(r"Device (\d+)\.\d+, Port ([\d.]+), .*Product QEMU USB (?:Tablet|Mouse)")
#: QEMU's error without a keyboard.
NO_HANDLER = "handler not found"
NO_KEYBOARD = (
    "this machine has no keyboard; start it with one, such as: -device usb-kbd (its board needs a"
    " USB bus) or -device virtio-keyboard-device"
)


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


async def has_keyboard(qmp: Qmp) -> bool:
    """Return whether QEMU has a keyboard; it is sent a key that no keyboard has."""
    try:
        await qmp.execute("input-send-event", {"events": [NO_KEY]})
    except QemuError as error:
        return NO_HANDLER not in str(error)
    return True


async def _or_timed(gauge: Gauge) -> Gauge:
    """Return this gauge, or a timed one if QEMU has no such trace event."""
    try:
        await gauge.begin()
    except KjuError as error:
        log.info("%s: the queue cannot be observed: %s", gauge.name, error)
        return TimedGauge()
    return gauge


class Gauges:
    """The gauges of one machine's keyboards and pointers.

    QEMU sends keys to a virtio keyboard that the guest has started, else to a USB one, else to
    the PS/2 one; it reports itself which pointer is used.

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
        self._ps2_mouse = Ps2Mouse(self._ps2)
        self._timed = TimedGauge()

    async def keyboard(self) -> Gauge:
        """Return the gauge of the keyboard that receives keys now."""
        with contextlib.suppress(KjuError, KeyError, TypeError):
            if path := await started_virtio(self._qmp, "virtio-keyboard-device"):
                if self._virtio is None or self._virtio.path != path:
                    self._virtio = Virtio(self._qmp, path)
                return self._virtio
        with contextlib.suppress(KjuError):
            if address := _KEYBOARD.search(await self._qmp.monitor("info usb")):
                # Until the guest has given it an address, keys are lost when it does.
                return await _or_timed(self._usb) if int(address[1]) else NotStarted("usb")
            if await self._ps2.is_there():
                return self._ps2
        with contextlib.suppress(KjuError, KeyError, TypeError):
            if await waiting_virtio(self._qmp, "virtio-keyboard-device"):
                return NotStarted("virtio")
        with contextlib.suppress(KjuError):
            if not await has_keyboard(self._qmp):
                return NoKeyboard()
        return self._timed

    async def pointer(self) -> Gauge:
        """Return the gauge of the pointer that is used now."""
        with contextlib.suppress(KjuError, KeyError, TypeError, StopIteration):
            mice = await self._qmp.execute("query-mice")
            name = next(mouse["name"] for mouse in mice if mouse["current"])
            if "PS/2" in name:
                return self._ps2_mouse
            if "HID" in name and self._usb_tablet is not None:
                if at := _TABLET.search(await self._qmp.monitor("info usb")):
                    self._usb_tablet.is_at(*at.groups())
                    return await _or_timed(self._usb_tablet)
            elif path := await started_virtio(self._qmp, "virtio-tablet-device"):
                if self._virtio_tablet is None or self._virtio_tablet.path != path:
                    self._virtio_tablet = Virtio(self._qmp, path)
                return self._virtio_tablet
        return self._timed
