"""SHELL: settings of the app that are remembered for the next start, in the user's state folder.

A file that cannot be read counts as none. Both functions may block; call neither on the toolkit's
thread.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ..errors import KjuError
from ..escaping import one_line
from ..files import Folder

log = logging.getLogger(__name__)

_FILE = "desktop.json"
_MAX_BYTES = 64 << 10

_Pixels = Annotated[int, Meta(ge=-100_000, le=100_000)]
_Size = Annotated[int, Meta(ge=0, le=100_000)]


class DesktopSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of the app.

    Attributes:
        x: Left edge of the main window.
        y: Its top edge.
        width: Its width; 0 for the first start.
        height: Its height.
        maximized: It fills its display.
        tile_width: Width of a tile; 0 for the usual one.
        panel_width: Width of the side panel; 0 for the usual one.
        panel_shown: The side panel is shown.
        order: Name of the wall's order.
        told_running: The user has seen the message that machines outlive the app.
    """

    x: _Pixels = 0
    y: _Pixels = 0
    width: _Size = 0
    height: _Size = 0
    maximized: bool = False
    tile_width: _Size = 0
    panel_width: _Size = 0
    panel_shown: bool = False
    order: str = ""
    told_running: bool = False


def state_folder() -> Path:
    """Return the folder of this program's state; it may not exist."""
    import platformdirs  # most commands do not need it

    return platformdirs.user_state_path("kju", appauthor=False)


def load() -> DesktopSettings:
    """Return the remembered settings."""
    with (
        contextlib.suppress(KjuError, OSError, msgspec.MsgspecError, UnicodeError),
        Folder.open(state_folder(), follow_own_link=True) as folder,
    ):
        return msgspec.json.decode(folder.read(_FILE, limit=_MAX_BYTES), type=DesktopSettings)
    return DesktopSettings()


def store(settings: DesktopSettings) -> str:
    """Remember settings; return the reason why they are not saved, or an empty string."""
    try:
        with Folder.open(state_folder(), create=True, follow_own_link=True) as folder:
            folder.write(_FILE, msgspec.json.encode(settings), durable=False)
    except (KjuError, OSError) as error:
        reason = f"the settings of this window were not saved: {error}"
        log.warning("%s", one_line(reason))  # the window may have closed
        return reason
    return ""
