"""The window of `kju view`: start Qt, show one machine, run Qt's loop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ... import extras
from ...errors import FileError, UsageError
from ...signals import ending_signals
from .. import settings
from ..settings import SIDE_BY_SIDE, ShownScreens
from ..targets import MachineTarget

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QApplication

    from .view_parts import ViewParts

#: A property of the application that is set when a signal ends it: windows ask nothing then.
ENDING = "kju-ending"
#: The icon of all windows; the package installs it for desktops, too.
_ICON = Path(__file__).parent / "kju.svg"
_LIBRARIES = (
    "on Debian: apt install libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0"
    " libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xkb1"
)


def view(
    name: str,
    *,
    console: int,
    scale: str,
    full_screen: bool,
    view_only: bool,
    release_key: str,
    screens: str = "",
    add_tools: Callable[[ViewParts], object] | None = None,
) -> None:
    """Show a machine in a window until the window is closed; the machine keeps running.

    The window opens where it was, as it was; an empty *scale* or *screens* is as last time.
    *add_tools* is called with each window, and may add actions to it.

    Raises:
        MachineNotFoundError: No machine of this name is running.
        UsageError: Unknown console, scale or key, or no display.
        MissingError: The extra ``desktop`` is not installed.
    """
    from ..geometry import scaling_of
    from ..input.grab import ViewKeys

    extras.require("desktop", "a window")
    scaling = scaling_of(scale) if scale else None
    ViewKeys(release_key)
    target = MachineTarget(name, console, view_only=view_only)
    count = target.prepare()
    app = application()
    from .heads import HeadFactory, HeadWindows, raise_window
    from .remembering import WindowMemory, post_note
    from .widget import ScreenView
    from .window import MachineWindow

    known = settings.load(name)
    shown = ShownScreens(screens) if screens else known.screens
    beside = shown is ShownScreens.SIDE_BY_SIDE and count > 1

    def make_view(console: int) -> ScreenView:
        screen, window = ScreenView(), known.window(console)
        is_first = console == target.console
        one = target if is_first else MachineTarget(name, console, view_only=view_only)
        screen.show_target(
            one, scaling=scaling or window.scaling, smooth=window.smooth, release=release_key
        )
        return screen

    def make_window(console: int) -> MachineWindow:
        def index() -> int:
            row = windows.row
            return SIDE_BY_SIDE if row and row.machine_window is window else console

        window = MachineWindow(make_view(console))
        if add_tools is not None:
            add_tools(window.console)
        WindowMemory(window, window.view, index, known.window(SIDE_BY_SIDE if beside else console))
        return window

    def remember(chosen: ShownScreens) -> None:
        def change(machine: settings.MachineSettings) -> None:
            machine.screens = chosen

        shown = windows.windows[0].view
        settings.update_soon(name, change, lambda reason: post_note(shown, reason))

    windows = HeadWindows(HeadFactory(make_window, make_view, raise_window), count)
    windows.chosen.connect(remember)
    window = windows.window(0 if beside else console)
    if beside:
        windows.show_side_by_side()
    if full_screen:
        window.set_full_screen(True)
    elif shown is ShownScreens.WINDOWS:
        windows.show_all()
    else:
        window.show()
    status = run_loop(app)
    if status:
        raise SystemExit(status)


def play(path: str) -> None:
    """Play a recording in a window until the window is closed.

    Raises:
        UsageError: The display is missing.
        MissingError: The extra ``desktop`` is not installed.
        FileError: The file cannot be read.
    """
    extras.require("desktop", "a window")
    extras.require("desktop", "playing a video", only="av")
    if not Path(path).is_file():
        raise FileError(f"{path} cannot be read: it is not a file", path)
    app = application()
    from .tools.player import PlayerWindow

    player = PlayerWindow(path)
    player.show()
    if status := run_loop(app):
        raise SystemExit(status)


def application() -> QApplication:
    """Return Qt's application.

    Raises:
        UsageError: The display is missing, or Qt cannot use it. Qt itself would abort the process.
    """
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if not platform and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError(
            "cannot open a window without a display: neither DISPLAY nor WAYLAND_DISPLAY is set;"
            " use the terminal: kju watch NAME"
        )
    try:
        import PySide6
        from PySide6.QtGui import QIcon
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        raise UsageError(f"Qt cannot be loaded: {error}; {_LIBRARIES}") from error
    if sys.version_info < (3, 12) and PySide6.__version_info__[:2] == (6, 12):
        how = extras.install_command("desktop")
        raise UsageError(f"PySide6 6.12 crashes Python 3.11; install another version: {how}")
    if platform == "xcb" or not (platform or os.environ.get("WAYLAND_DISPLAY")):
        _check_x11()
    app = QApplication(["kju"])
    app.setApplicationDisplayName("")
    app.setDesktopFileName("kju")
    app.setWindowIcon(QIcon(str(_ICON)))
    from .contrast import ContrastFollower

    ContrastFollower(app)
    return app


def _check_x11() -> None:
    """Check the libraries that Qt needs for X11; Qt's own message names a wrong one.

    Raises:
        UsageError: A library is missing, or the display does not answer.
    """
    from PySide6.QtCore import QLibraryInfo

    plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
    try:
        ctypes.CDLL(str(plugins / "platforms" / "libqxcb.so"))
    except OSError as error:
        raise UsageError(f"Qt cannot open windows on X11 here: {error}; {_LIBRARIES}") from error
    x11 = ctypes.CDLL("libX11.so.6")  # a dependency of libqxcb, which is loaded
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        raise UsageError(
            f"cannot connect to the display {os.environ.get('DISPLAY', '')!r}; check DISPLAY"
        )
    x11.XCloseDisplay(ctypes.c_void_p(display))


def run_loop(app: QApplication) -> int:
    """Run Qt's loop; return the exit status for the signal that ended it, else 0."""
    import socket

    from PySide6.QtCore import QSocketNotifier

    asked: list[int] = []

    def end(number: int, frame: object) -> None:
        # Python runs this between any two instructions, such as those of a paint event, in which a
        # window that is closed ends the process by SIGSEGV.
        asked.append(128 + number)

    def wake() -> None:
        ours.recv(64)
        if asked:
            app.setProperty(ENDING, True)
            app.closeAllWindows()

    # Python runs signal handlers between its own instructions, and Qt's loop executes none while
    # it sleeps: the wake-up descriptor makes it run one.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        waker = QSocketNotifier(ours.fileno(), QSocketNotifier.Type.Read)
        waker.activated.connect(wake)
        before = signal.set_wakeup_fd(theirs.fileno())
        for number in ending_signals():
            signal.signal(number, end)
        try:
            app.exec()
        finally:
            signal.set_wakeup_fd(before)
            waker.setEnabled(False)
    return asked[-1] if asked else 0
