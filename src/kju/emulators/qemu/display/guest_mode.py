"""The video mode that a guest has set in the registers of its display. I/O-free.

QEMU's std VGA, secondary-vga and bochs-display have the Bochs display interface: twelve 16-bit
registers in their BAR 2. Time is an argument.

Source:
    QEMU's docs/specs/standard-vga.rst.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ....surface import MAX_SIDE
from ....surface.geometry import Place

#: Bytes from BAR 2 to the registers, and to the VGA port 0x3c0 (the attribute index).
REGISTERS_OFFSET = 0x500
ATTRIBUTE_OFFSET = 0x400
#: Bytes from BAR 2 to the byte order, and its value for little-endian.
ORDER_OFFSET = 0x604
LITTLE_ENDIAN = 0x1E1E1E1E
#: The number of the registers.
REGISTERS = 12

#: Seconds for which registers without a valid mode count as a transition.
DOUBT = 0.5
#: Seconds after which a mode outside of the video memory counts as lasting. Until then screenshots
#: show it: a firmware's text mode ends earlier, and a listener costs QEMU less only for a mode that
#: lasts.
LISTEN_AFTER = 10.0

HIDDEN = "QEMU shows another picture than the video memory: most likely a blanked screen"

_ENABLED = 1
_GET_CAPABILITIES = 2
_BYTES = 4
_SCREEN_ON = 0x20
_WORD = re.compile(r"\b0x([0-9a-fA-F]{1,8})\b")


class Registers(NamedTuple):
    """The values of the registers, as QEMU reads them back.

    Attributes:
        id: 0xb0c0 to 0xb0c5.
        xres: The width in pixels.
        yres: The height in pixels.
        bpp: The number of bits per pixel.
        enable: Bit 0: the mode is on. Bit 1: xres, yres and bpp read as their largest values.
        bank: The bank of the old 64 KiB window.
        virt_width: The number of pixels per row in memory.
        virt_height: The number of rows that fit into the memory.
        x_offset: The number of pixels from the start of a row to the picture.
        y_offset: The number of rows from the start of the memory to the picture.
        memory: The size of the video memory, in units of 64 KiB.
        reserved: Zero.
    """

    id: int
    xres: int
    yres: int
    bpp: int
    enable: int
    bank: int
    virt_width: int
    virt_height: int
    x_offset: int
    y_offset: int
    memory: int
    reserved: int

    @property
    def known(self) -> bool:
        """True if the id is that of a Bochs display."""
        return self.id & 0xFFF0 == 0xB0C0


class OtherMode(NamedTuple):
    """A mode without a 32-bit picture in video memory.

    Attributes:
        reason: A description of the mode, or why it cannot be read.
        unknown: Whether the registers are inconclusive: the last mode may still be valid.
    """

    reason: str
    unknown: bool = False


def words(text: str, count: int) -> list[int] | None:
    """Return the numbers in the output of the monitor's ``xp``; None if it is other output."""
    found: list[int] = []
    for line in text.splitlines():
        _, colon, values = line.partition(":")
        if colon:
            found += [int(word, 16) for word in _WORD.findall(values)]
    return found if len(found) == count else None


def parse_registers(text: str) -> Registers | None:
    """Read the registers from the output of ``xp /12hx``; None if it is other output."""
    found = words(text, REGISTERS)
    return Registers(*found) if found and max(found) <= 0xFFFF else None


def mode_of(registers: Registers, size: int) -> Place | OtherMode:
    """Return the place of the picture that the registers select: 32 bits per pixel, B G R X.

    The guest writes the registers, so their values are hostile. Std VGA corrects most values when
    they are written, bochs-display none. Here all are checked against the size of the memory.

    Args:
        registers: The registers as read.
        size: The size of the video memory in bytes.

    Source:
        hw/display/vga.c of QEMU (vbe_fixup_regs) for the corrections of std VGA;
        hw/display/bochs-display.c (bochs_display_get_mode), which corrects nothing.
    """
    r = registers
    if not r.known:
        return OtherMode(f"the display's registers answer {r.id:#x}")
    if not r.enable & _ENABLED:
        return OtherMode("a VGA or text mode")
    if r.enable & _GET_CAPABILITIES:
        return OtherMode("the registers read as the display's capabilities", unknown=True)
    if r.bpp != 32:
        return OtherMode(f"a mode of {r.bpp} bits per pixel")
    # Std VGA never has rows narrower than the picture; bochs-display widens them to it.
    stride = max(r.virt_width, r.xres) * _BYTES
    offset = r.y_offset * stride + r.x_offset * _BYTES
    if not r.xres or not r.yres:
        return OtherMode(f"{r.xres}x{r.yres} is not a mode", unknown=True)
    if max(r.xres, r.yres) > MAX_SIDE:
        return OtherMode(f"{r.xres}x{r.yres} is larger than any surface", unknown=True)
    place = Place(r.xres, r.yres, stride, offset)
    if place.end > size:
        return OtherMode(f"{r.xres}x{r.yres} leaves the video memory", unknown=True)
    return place


def is_blank(attribute: int) -> bool | None:
    """Return whether the attribute index at port 0x3c0 blanks the screen; None if unknown.

    While the port expects data and not an index, QEMU reads it as 0, whatever the index is.
    """
    if attribute & _SCREEN_ON:
        return False
    return True if attribute else None


def memory_name(device_address: str) -> str | None:
    """Return the beginning of QEMU's name of a PCI device's memory; None for another address.

    Args:
        device_address: A console's ``DeviceAddress``: ``pci/0000/03.0``, with one more part for
            every bridge before the device.
    """
    kind, *parts = device_address.split("/")
    if kind != "pci" or len(parts) < 2:
        return None
    domain, *functions = parts
    return f"{domain}:00:" + ":".join(functions)


class GuestMode:
    """The video mode of one console, from one reading of the registers to the next.

    - Inconclusive registers leave the last mode valid for `DOUBT`. After that the mode counts as
      unknown, and a listener shows QEMU's picture.
    - A mode of the same size at another place is a page flip, not a new mode.
    - A mode counts as hidden while QEMU shows another picture than the video memory (a blanked
      screen).

    Attributes:
        place: The picture's place in the video memory; None in every other mode.
        hidden: Whether QEMU shows another picture. Set by the comparison with a screenshot.
        flips: Whether the last change was a page flip.
        changed_at: The time of the last change of the place.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.hidden = False
        self.flips = False
        self.changed_at = 0.0
        self._reason = ""
        self._doubt_since: float | None = None
        self._absent_since: float | None = None

    @property
    def visible_place(self) -> Place | None:
        """The place of the picture that QEMU shows; None if it is not in the video memory."""
        return None if self.hidden else self.place

    @property
    def reason(self) -> str:
        """The reason for a missing visible place; empty if the place is known."""
        return HIDDEN if self.hidden else self._reason

    def update(self, found: Place | OtherMode, now: float) -> bool:
        """Record the mode that was just read; return whether it is new (not just a page flip)."""
        if not self._is_certain(found, now):
            return False
        place = found if isinstance(found, Place) else None
        self._reason = found.reason if isinstance(found, OtherMode) else ""
        is_new = False
        if place != self.place:
            before, self.place, self.changed_at = self.place, place, now
            self.flips = place is not None and before is not None and place[:2] == before[:2]
            is_new = not self.flips
            if is_new:
                self.hidden = False
        return is_new

    def _is_certain(self, found: Place | OtherMode, now: float) -> bool:
        if not isinstance(found, OtherMode) or not found.unknown or self.place is None:
            self._doubt_since = None
            return True
        if self._doubt_since is None:
            self._doubt_since = now
        return now - self._doubt_since >= DOUBT

    def note_visibility(self, now: float) -> None:
        """Record when the picture left the video memory; called after each change."""
        if self.visible_place is not None:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now

    def lasts(self, now: float) -> bool:
        """Return whether the picture has been outside of the video memory for `LISTEN_AFTER`.

        A blanked screen does not count: its picture returns to the memory, and shows little before.
        """
        since = self._absent_since
        return since is not None and now - since > LISTEN_AFTER and not self.hidden
