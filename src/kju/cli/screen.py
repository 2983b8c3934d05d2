"""`kju watch`, `view`, `desktop` and `resize`."""

from __future__ import annotations

import contextlib
import json as json_format
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..client.launching import attach
from ..client.surface import Surface
from ..client.targets import attach_to_look, is_address, open_surface, screen_of
from ..errors import ProducerGoneError, UnavailableError, UsageError, WaitTimeoutError
from ..keys import layout as find_layout
from ..protocol.values import Role
from ..remote.addresses import SCHEME
from ..surface import State
from ..viewers.geometry import Scaling
from ..viewers.input.grab import RELEASE, ViewKeys
from ..viewers.targets import MachineTarget, SurfaceTarget
from .command import (
    AnyName,
    AnyTarget,
    Connect,
    Console,
    Insecure,
    Json,
    Name,
    Seconds,
    User,
    completing,
    running_machines,
)
from .output import progress

if TYPE_CHECKING:
    from ..client.machine import Machine
    from ..client.surface import Surface
    from ..viewers.qt.view_parts import ViewParts
    from ..viewers.terminal.status_line import SurfaceStatus

_SOURCE_SECONDS = 2.0
# Pause after a change, so that a busy guest does not wake this process for each one.
_PAUSE = 0.2
_LEAVES = "leaves"
_SIZE = re.compile(r"([1-9][0-9]{0,4})[x\N{MULTIPLICATION SIGN}]([1-9][0-9]{0,4})", re.ASCII)
#: `kju.viewers.qt.heads.Screens`
_SCREENS = ("one", "windows", "side-by-side")
_SCALES = tuple(scaling.value for scaling in Scaling)
_ReleaseKey = Annotated[
    str, typer.Option(metavar="KEYS", help="Keys that grab and release the keyboard.")
]


def on_network(name: str, connect: list[str] | None, user: str, insecure: bool) -> bool:
    """Return whether a name is an address on the network.

    Raises:
        UsageError: It is not, and there are options for one.
    """
    if name.startswith(SCHEME):
        return True
    if connect or user or insecure:
        raise UsageError(
            "--connect, --user and --insecure are for an address on the network, such as"
            f" {SCHEME}lab/host1/web"
        )
    return False


@contextlib.contextmanager
def mirrored(
    address: str, connect: list[str] | None, user: str, insecure: bool, *, view_only: bool
) -> Iterator[str]:
    """Mirror a screen on the network; yield the mirror's name."""
    from ..client.launching import mirror
    from .network import reach_to

    reach = reach_to(connect, user, insecure)
    where = [str(each) for each in reach.options().connect]
    role: Role = "view" if view_only else "control"
    with progress(f"connecting to {address}"):
        machine = mirror(
            address, connect=where, user=reach.user or None, insecure=insecure, role=role
        )
    with machine:
        yield machine.name


def watch(
    name: AnyTarget = "",
    console: Console = 0,
    seconds: Seconds = 0,
    json: Json = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="With a path: when a producer ends, wait for the next one."),
    ] = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Send no input.")] = False,
    layout: Annotated[
        str,
        typer.Option(
            metavar="LAYOUT",
            help="The guest's keyboard layout, for terminals that send characters.",
        ),
    ] = "us",
    release_key: _ReleaseKey = RELEASE,
    connect: Connect = None,
    user: User = "",
    insecure: Insecure = False,
    hint: Annotated[str, typer.Option(hidden=True)] = _LEAVES,
) -> None:
    """Show the screen in this terminal, and use the machine.

    An address on the network (zenoh:lab/host1/web) is mirrored until this ends.

    Ctrl+] leaves. In a pipe, and with --json, print one line per second. TERM, COLORTERM and
    NO_COLOR choose the colours; KJU_COLOURS=true, 256 or none overrides them.
    """
    # Wrong names are reported before the terminal changes its mode.
    ViewKeys(release_key)
    from ..viewers.terminal.view import show, terminal_ability  # a window does not need it

    find_layout(layout)
    live = sys.stdout.isatty() and not json and terminal_ability().moves
    if on_network(name, connect, user, insecure):
        with mirrored(name, connect, user, insecure, view_only=view_only) as found:
            watch(
                found, console, seconds, json, view_only=view_only, layout=layout,
                release_key=release_key, hint=hint,
            )  # fmt: skip
        return
    if is_address(name):
        with open_surface(name, follow=follow) as surface:
            if not live:
                _print_lines(_LineReporter(name, surface), seconds, json)
                return
        show(SurfaceTarget(name), follow=follow, leave_hint=hint, seconds=seconds)
        return
    with attach_to_look(name, or_address=True) as machine:
        screen_of(machine, console)
        if not live:
            watch_machine(machine, console, seconds, json)
            return
    target = MachineTarget(name, console, view_only=view_only, layout=layout, with_source=True)
    show(target, release=release_key, leave_hint=hint, seconds=seconds)


def watch_machine(
    machine: Machine, console: int, seconds: float, as_json: bool, hint: str = _LEAVES
) -> None:
    """Show a machine that is attached already."""
    screen = screen_of(machine, console)
    from ..viewers.terminal.view import show, terminal_ability

    if sys.stdout.isatty() and not as_json and terminal_ability().moves:
        target = MachineTarget(machine.name, console, with_source=True)
        show(target, leave_hint=hint, seconds=seconds)
        return
    source = lambda: str(machine.info()["consoles"][console]["source"])  # noqa: E731
    _print_lines(_LineReporter(machine.name, screen, source), seconds, as_json)


def _print_lines(lines: _LineReporter, seconds: float, as_json: bool) -> None:
    for status in lines.reports(seconds):
        line = json_format.dumps(status.data) if as_json else "  ".join(status.parts)
        print(line, flush=True)


def view(
    name: AnyName = "",
    console: Console = 0,
    scale: Annotated[
        str,
        typer.Option(
            metavar="SCALE",
            help=f"Size of the picture: {', '.join(_SCALES)} (default: as last time, else fit).",
            autocompletion=completing(_SCALES),
            show_default=False,
        ),
    ] = "",
    full_screen: Annotated[
        bool, typer.Option("--full-screen", "-f", help="Fill the screen.")
    ] = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Send no input.")] = False,
    release_key: _ReleaseKey = RELEASE,
    screens: Annotated[
        str,
        typer.Option(
            metavar="SCREENS",
            help=f"Of a machine with several: {', '.join(_SCREENS)} (default: as last time, else"
            " one).",
            autocompletion=completing(_SCREENS),
            show_default=False,
        ),
    ] = "",
    connect: Connect = None,
    user: User = "",
    insecure: Insecure = False,
) -> None:
    """Show the screen in a window, and use the machine there.

    Closing the window leaves the machine running. An address on the network (zenoh:lab/host1/web)
    is mirrored until this ends.
    """
    if on_network(name, connect, user, insecure):
        with mirrored(name, connect, user, insecure, view_only=view_only) as found:
            view(found, console, scale, full_screen, view_only, release_key, screens)
        return
    if screens and screens not in _SCREENS:
        raise UsageError(f"unknown screens {screens!r}; choose from {', '.join(_SCREENS)}")
    from ..viewers.qt import view as show_window  # Qt takes 0.2 s to import

    show_window(
        name,
        console=console,
        scale=scale,
        full_screen=full_screen,
        view_only=view_only,
        release_key=release_key,
        screens=screens,
        add_tools=_add_script_tool,
    )


def _add_script_tool(console: ViewParts) -> None:
    from ..codegen.qt.script_tool import ScriptTool  # Qt

    ScriptTool(console)


def desktop(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Running machines to open in tabs (default: none).",
            show_default=False,
            autocompletion=running_machines,
        ),
    ] = None,
) -> None:
    """Show all machines in one window, and use them there.

    Closing the window leaves the machines running. A second `kju desktop` raises the window of the
    first.
    """
    from ..desktop.qt.app import show_desktop  # Qt takes 0.2 s to import

    show_desktop(names or [])


def resize(
    name: Name,
    size: Annotated[
        str, typer.Argument(metavar="SIZE", help="Width and height in pixels, such as 1280x800.")
    ],
    console: Console = 0,
) -> None:
    """Ask the guest for a size of its screen; the guest decides.

    Only virtio-vga and virtio-gpu can be resized.
    """
    width, height = _parse_size(size)
    with attach(name) as machine:
        screen_of(machine, console).resize(width, height)


def _parse_size(size: str) -> tuple[int, int]:
    """Return width and height.

    Raises:
        UsageError: *size* is not WIDTHxHEIGHT.
    """
    found = _SIZE.fullmatch(size)
    if found is None:
        raise UsageError(f"invalid size {size!r}; write width and height, such as 1280x800")
    return int(found[1]), int(found[2])


class _LineReporter:
    """Status of one surface, second by second, for pipes and terminals without a cursor.

    Args:
        name: As the user knows it.
        surface: The surface.
        source: Returns the source of its pixels; called every few seconds.
    """

    def __init__(self, name: str, surface: Surface, source: Callable[[], str] = lambda: "") -> None:
        self._name = name
        self._surface = surface
        self._source = source
        self._source_text = ""
        self._source_due = 0.0
        self._counted = (time.monotonic(), surface.version)
        self._gone = ""

    def reports(self, seconds: float = 0) -> Iterator[SurfaceStatus]:
        """Yield the status once a second.

        Args:
            seconds: Time after which to end; 0 is never.

        Raises:
            ProducerGoneError: The producer closed the surface or died.
            MemoryLostError: The file below was cut.
        """
        end = time.monotonic() + seconds if seconds else float("inf")
        while True:
            yield self._status()
            due = time.monotonic() + 1
            if due > end:
                return
            # Waiting for a change after the newest mark is how the producer's end is noticed.
            while (left := due - time.monotonic()) > 0:
                if self._wait(left):
                    time.sleep(min(max(0.0, due - time.monotonic()), _PAUSE))

    def _wait(self, seconds: float) -> bool:
        """Wait for a change; return False after a timeout."""
        try:
            self._surface.wait(self._surface.mark, timeout=seconds)
        except WaitTimeoutError as late:
            # A surface that is followed waits for its next producer; the cause is the reason.
            cause = late.__cause__
            self._gone = str(cause) if isinstance(cause, ProducerGoneError) else ""
            return False
        self._gone = ""
        return True

    def _status(self) -> SurfaceStatus:
        now, version, surface = time.monotonic(), self._surface.version, self._surface
        since, before = self._counted
        self._counted = now, version
        rate = max(0, version - before) / (now - since) if now > since else 0.0
        if now >= self._source_due:
            self._source_due = now + _SOURCE_SECONDS
            self._source_text = self._source()
        state, reason = surface.state
        if self._gone and state in (State.LIVE, State.PAUSED):
            state, reason = State.GONE, self._gone  # it died without closing the surface
        from ..viewers.terminal.status_line import SurfaceStatus

        return SurfaceStatus(
            self._name, surface.mode, version, rate, self._source_text, state, reason or "",
            self._mean_colour(),
        )  # fmt: skip

    def _mean_colour(self) -> tuple[int, int, int] | None:
        try:
            from ..viewers.terminal.canvas import mean_colour

            return mean_colour(self._surface.view())
        except UnavailableError:
            return None
