"""The Bochs display interface: the picture in video memory that a guest has set. I/O-free.

QEMU's std VGA, secondary-vga and bochs-display have twelve 16-bit registers in their BAR 2.
The guest writes them, so their values are hostile. Std VGA corrects most values as they are
written, bochs-display none; all are checked here against the memory's size anyway.

Source:
    QEMU's docs/specs/standard-vga.rst; hw/display/vga.c (vbe_fixup_regs) for its corrections;
    hw/display/bochs-display.c (bochs_display_get_mode), which corrects nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...surface import MAX_SIDE
from ...surface.geometry import Place

#: Bytes from BAR 2 to the registers, and to the VGA port 0x3c0 (the attribute index).
REGISTERS_OFFSET = 0x500
ATTRIBUTE_OFFSET = 0x400
#: Bytes from BAR 2 to the byte order; this value is little-endian.
ORDER_OFFSET = 0x604
LITTLE_ENDIAN = 0x1E1E1E1E
COUNT = 12

_ENABLED = 1
_GET_CAPABILITIES = 2
_BYTES = 4
_SCREEN_ON = 0x20
_WORD = re.compile(r"\b0x([0-9a-fA-F]{1,8})\b")


class Registers(NamedTuple):
    """The guest's values, as QEMU reads them back.

    Attributes:
        id: 0xb0c0 to 0xb0c5.
        xres: Pixels.
        yres: Pixels.
        bpp: Bits per pixel.
        enable: Bit 0: the mode is on; bit 1: xres, yres and bpp answer the most there can be.
        bank: Of the old 64 KiB window.
        virt_width: Pixels per row in memory.
        virt_height: Rows that fit the memory.
        x_offset: Pixels from the row's start to the picture's.
        y_offset: Rows from the memory's start to the picture's.
        memory: Video memory, in 64 KiB.
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
        """Whether these are such registers at all."""
        return self.id & 0xFFF0 == 0xB0C0


class OtherMode(NamedTuple):
    """No 32-bit picture in video memory.

    Attributes:
        reason: What it is instead.
        unknown: Whether the registers do not show it: the last mode may still be valid.
    """

    reason: str
    unknown: bool = False


def words(text: str, count: int) -> list[int] | None:
    """The numbers of an answer to the monitor's ``xp``; None where it is another answer."""
    found: list[int] = []
    for line in text.splitlines():
        _, colon, values = line.partition(":")
        if colon:
            found += [int(word, 16) for word in _WORD.findall(values)]
    return found if len(found) == count else None


def parse_registers(text: str) -> Registers | None:
    """Read the registers from the output of ``xp /12hx``; None if it is not such output."""
    found = words(text, COUNT)
    return Registers(*found) if found and max(found) <= 0xFFFF else None


def mode_of(registers: Registers, size: int) -> Place | OtherMode:
    """The picture that these registers ask for: 32 bits per pixel, B G R X.

    Args:
        registers: As read.
        size: Bytes of the video memory.
    """
    r = registers
    if not r.known:
        return OtherMode(f"the display's registers answer {r.id:#x}")
    if not r.enable & _ENABLED:
        return OtherMode("a VGA or text mode")
    if r.enable & _GET_CAPABILITIES:
        return OtherMode("the guest has the registers answer capabilities", unknown=True)
    if r.bpp != 32:
        return OtherMode(f"a mode of {r.bpp} bits per pixel")
    # Std VGA never has narrower rows than the picture; bochs-display takes them for as wide.
    stride = max(r.virt_width, r.xres) * _BYTES
    offset = r.y_offset * stride + r.x_offset * _BYTES
    if not r.xres or not r.yres:
        return OtherMode(f"{r.xres}x{r.yres} is no mode", unknown=True)
    if max(r.xres, r.yres) > MAX_SIDE:
        return OtherMode(f"{r.xres}x{r.yres} is larger than any surface", unknown=True)
    place = Place(r.xres, r.yres, stride, offset)
    if place.end > size:
        return OtherMode(f"{r.xres}x{r.yres} leaves the video memory", unknown=True)
    return place


def is_blank(attribute: int) -> bool | None:
    """Return whether the attribute index at port 0x3c0 blanks the screen; None if unknown.

    QEMU answers 0 while the port expects data and not an index, whatever the index is.
    """
    if attribute & _SCREEN_ON:
        return False
    return True if attribute else None


def memory_name(device_address: str) -> str | None:
    """Return the beginning of QEMU's name of a PCI device's memory; None for another address.

    Args:
        device_address: As a console's ``DeviceAddress``: ``pci/0000/03.0``, with one more part
            for every bridge before it.
    """
    kind, *parts = device_address.split("/")
    if kind != "pci" or len(parts) < 2:
        return None
    domain, *functions = parts
    return f"{domain}:00:" + ":".join(functions)
