"""SHELL: the screen of a snapshot: its picture, and the surfaces after it was loaded."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import GeometryError, KjuError
from ..qmp import Qmp
from ..screenshot import ScreenDumper, read_ppm

if TYPE_CHECKING:
    from ...console import Console

    Picture = np.ndarray[Any, Any]

log = logging.getLogger(__name__)

#: Seconds for a surface to show what was loaded. A listener is notified in QEMU's next tick of
#: 30 ms, a mode that may be a placeholder waits 0.3 s, a blank screen is known after two checks
#: 0.3 s apart.
SHOW_TIMEOUT = 3.0


class Screens:
    """Pictures of the first console, and the check of all consoles after a load.

    Args:
        qmp: The connection to QEMU.
    """

    def __init__(self, qmp: Qmp) -> None:
        self._dump = ScreenDumper(qmp, "")

    def close(self) -> None:
        """Take back the file that was lent to QEMU."""
        self._dump.close()

    async def picture(self) -> tuple[Picture | None, str]:
        """Return the first console's pixels, or None and the reason."""
        try:
            picture = await asyncio.to_thread(read_ppm, await self._dump.dump())
        except (KjuError, OSError, KeyError, TypeError) as error:
            return None, f"no picture: {error}"
        return picture, "" if picture is not None else "no picture: QEMU has no screen"

    async def show(self, console: Console) -> None:
        """Wait until a console's surface shows QEMU's screen; the guest is paused."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHOW_TIMEOUT
        asker = object()
        console.runner.distrust()
        await console.attach(asker)
        try:
            while True:
                await console.refresh(sync=True)
                # QEMU makes no picture of a console other than the first without a device's name.
                if console.index or await self._is_shown(console):
                    return
                if loop.time() > deadline:
                    log.warning("console %d does not show what was loaded", console.index)
                    return
                await asyncio.sleep(0.01)
        except (KjuError, OSError) as error:
            log.warning("console %d: what was loaded cannot be shown: %s", console.index, error)
        finally:
            console.detach(asker)

    async def _is_shown(self, console: Console) -> bool:
        dumped = await asyncio.to_thread(read_ppm, await self._dump.dump())
        if dumped is None or not console.producer.mode.epoch:
            return False
        try:
            here = console.producer.pixels
        except GeometryError:
            return False
        return here.shape[:2] == dumped.shape[:2] and np.array_equal(here[..., 2::-1], dumped)


def png_of(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    from PIL import Image  # only machines that save a snapshot need it

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
    return file.getvalue()
