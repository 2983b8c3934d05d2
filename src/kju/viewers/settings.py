"""SHELL: the settings of each machine's windows, kept between two runs of a viewer.

One JSON file per machine name: ``$XDG_STATE_HOME/kju/views/NAME.json``. A file that is missing,
broken or of a later version counts as empty. Reading and writing take a disk's time: call `load`
and `update` off a toolkit's thread; `update_soon` returns at once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from ..errors import KjuError
from ..escaping import one_line
from ..files import Folder
from ..store.paths import NAME, view_settings_folder
from .geometry import Scaling

log = logging.getLogger(__name__)

#: Bytes of a file; one of a machine with 16 screens has under 4 KiB.
MAX_FILE = 1 << 16
#: The index of the window that shows all screens.
SIDE_BY_SIDE = -1


class ShownScreens(StrEnum):
    """The screens that are shown of a machine with several."""

    ONE = "one"
    WINDOWS = "windows"
    SIDE_BY_SIDE = "side-by-side"


_Coordinate = Annotated[int, Meta(ge=-(1 << 20), le=1 << 20)]
_Side = Annotated[int, Meta(ge=1, le=1 << 16)]


class WindowSettings(Struct, omit_defaults=True):
    """The window of one screen.

    Attributes:
        place: Left and top of its frame, logical pixels of the desktop; None: the desktop chooses.
        size: Width and height without its frame, logical pixels; None: it follows the guest.
        maximized: It is maximized.
        scaling: Size of the picture in it.
        smooth: Pixels are mixed where the scale is not a whole multiple.
        sticky: The guest is asked for the window's size.
    """

    place: tuple[_Coordinate, _Coordinate] | None = None
    size: tuple[_Side, _Side] | None = None
    maximized: bool = False
    scaling: Scaling = Scaling.FIT
    smooth: bool = True
    sticky: bool = False


class MachineSettings(Struct, omit_defaults=True):
    """The settings of one machine's windows.

    Attributes:
        windows: The windows of its screens, by the console's index, or `SIDE_BY_SIDE`.
        layout: The guest's keyboard layout, as the user chose it; empty before that.
        screens: The screens that are shown.
    """

    windows: dict[int, WindowSettings] = field(default_factory=dict)
    layout: str = ""
    screens: ShownScreens = ShownScreens.ONE

    def window(self, console: int) -> WindowSettings:
        """Return the settings of one window."""
        return self.windows.get(console) or WindowSettings()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MachineSettings).decode
# Held from the reading of a file to its writing, by one thread of this process.
_turn = threading.Lock()


#: Machines that were removed while this process had windows of theirs.
_forgotten: set[str] = set()


def load(name: str) -> MachineSettings:
    """Return the settings of a machine; the defaults if they cannot be read."""
    _forgotten.discard(name)  # another machine of this name
    return _load(name)


def _load(name: str) -> MachineSettings:
    if not NAME.fullmatch(name):
        return MachineSettings()
    try:
        return _read(name)
    except (KjuError, OSError, ValueError) as error:
        log.info("the settings of %s cannot be read: %s", name, error)
        return MachineSettings()


def update(name: str, change: Callable[[MachineSettings], object]) -> str:
    """Change the settings of a machine.

    Args:
        name: The machine's.
        change: Called with the present settings, which it changes.

    Returns:
        The reason why they are not saved, for the user; empty if they are.
    """
    if not NAME.fullmatch(name):
        return ""
    with _turn:
        if name in _forgotten:
            return ""
        settings = _load(name)
        change(settings)
        try:
            folder = Folder.open(view_settings_folder(), create=True)
            with contextlib.closing(folder):
                folder.write(f"{name}.json", _encode(settings) + b"\n", durable=False)
        except (KjuError, OSError) as error:
            reason = f"the window settings of {name} were not saved: {error}"
            log.warning("%s", one_line(reason))
            return reason
    return ""


def forget(name: str) -> None:
    """Ignore later changes of a removed machine, which may have a window; its file is deleted."""
    with _turn:
        _forgotten.add(name)


def update_soon(
    name: str, change: Callable[[MachineSettings], object], failed: Callable[[str], object]
) -> threading.Thread:
    """Call `update` on a thread, which the end of the process waits for.

    Args:
        name: As of `update`.
        change: As of `update`.
        failed: Called there with the reason why the settings are not saved.
    """

    def work() -> None:
        if reason := update(name, change):
            failed(reason)

    thread = threading.Thread(target=work, name="kju-settings")
    thread.start()
    return thread


def _read(name: str) -> MachineSettings:
    path = view_settings_folder()
    if not path.is_dir():
        return MachineSettings()
    with contextlib.closing(Folder.open(path)) as folder:
        if not (path / f"{name}.json").exists():
            return MachineSettings()
        return _decode(folder.read(f"{name}.json", limit=MAX_FILE))
