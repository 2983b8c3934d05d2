"""Machines for programs with threads: launch one, attach to one, look and type.

Pixels never pass through the host: a `Screen` is a `Surface` on memory that the host has
handed out. Everything here may be used from any thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from ..errors import (
    KjuError,
    MachineGoneError,
    PeerError,
    WaitTimeoutError,
)
from ..geometry import Rect
from ..host import runtime
from ..host.messages import (
    Done,
    GetInfo,
    GetLive,
    GetSurface,
    Hold,
    Info,
    LiveHandle,
    Refresh,
    Reply,
    Role,
    Stop,
    SurfaceHandle,
    Unhold,
    Welcome,
)
from ..host.protocol import Answer
from ..memory import Segment, open_fd
from . import requests
from .following import Following
from .frame import Frame
from .link import Link, close_all
from .machine_base import MachineBase
from .requests import check_reply
from .surface import Surface

if TYPE_CHECKING:
    import subprocess

    from ..keys import Chord

#: Seconds for a host to start: QEMU's version (0.04), once a day the accelerator (2), and
#: QEMU itself, which may have to allocate a large guest's memory (the host's own limit is 120).
START = 150.0
#: Seconds for a machine to end: QEMU writes out its disks (the host's own limits come to 34).
END = 45.0
#: Milliseconds to hold a surface for a consistent copy: 33 MB, a 4K screen, take under 20.
HOLD = 50


def client_name() -> str:
    """What the host's list of clients calls this program."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


class Screen(Following, Surface):
    """What one console shows: a `Surface` that follows the machine.

    When a larger surface replaces this one it goes on there; when the machine ends, waiting
    raises `ProducerGoneError` with the reason.

    Attributes:
        console: The console's index.
    """

    console: int
    _refresh: Callable[[bool], int]

    @classmethod
    def of(cls, link: Link, console: int) -> Self:
        """Open a console's screen.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """

        def reopen() -> Segment:
            return open_fd(surface_descriptor(link, console))

        @contextlib.contextmanager
        def hold() -> Iterator[None]:
            link.ask(Hold(console=console, milliseconds=HOLD), Done)
            try:
                yield
            finally:
                link.ask(Unhold(console=console), Done)

        def refresh(sync: bool) -> int:
            return link.ask(Refresh(console=console, sync=sync), Done).version

        screen = cls.from_fd(
            surface_descriptor(link, console),
            gone=link.gone,
            reopen=reopen,
            # Only a client with the control role may make the producer wait.
            hold=hold if link.welcome.role == "control" else None,
        )
        screen.console = console
        screen._refresh = refresh
        # Only a client with the control role may see what is not published: it could write there.
        screen.use_live(
            window=lambda: live_descriptor(link, console),
            catch_up=(lambda: refresh(False)) if link.welcome.role == "view" else None,
            publish=lambda: refresh(False),
        )
        return screen

    def snapshot(
        self,
        rect: Rect | None = None,
        *,
        consistent: bool = False,
        cursor: bool = False,
        format: str = "bgrx",
        sync: bool = False,
    ) -> Frame:
        """Copy the pixels as they are now, no older than this call.

        They come from the guest's own memory where this client may look there (a linear mode,
        and the control role); else as QEMU has told the host, each tile its newest.

        Args:
            rect: Pixels, origin top left; everything by default.
            consistent: Exactly one published version: see `kju.Surface.snapshot`.
            cursor: Draw the guest's cursor into the copy.
            format: ``bgrx``, ``rgb``, ``rgba`` or ``grey``.
            sync: Have the host read the guest's mode first, which takes a millisecond; else the
                geometry may be 250 ms old.

        Returns:
            Shape ``(height, width, 4)`` for ``bgrx`` and ``rgba``, 3 for ``rgb``, none for
            ``grey``; its own memory, C-contiguous.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: There is no picture; the message is the reason.
            InconsistentError: The producer never stopped writing.
            MachineGoneError: The machine has ended, and the host was to be asked.
            ClosedError: This process has closed the screen.
        """
        if sync:
            self.refresh()
        return self._snapshot(rect, consistent=consistent, cursor=cursor, format=format)

    def refresh(self) -> int:
        """Have everything published that QEMU has told the host so far.

        Returns:
            The version that holds it.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return self._refresh(True)


def surface_descriptor(link: Link, console: int) -> int:
    """Ask for a console's surface; the caller owns the descriptor."""
    return only_descriptor(link.call(GetSurface(console=console)))


def live_descriptor(link: Link, console: int) -> int:
    """Ask for the memory of a console's live window; the caller owns the descriptor."""
    return only_descriptor(link.call(GetLive(console=console)), LiveHandle)


def only_descriptor(answer: Answer, kind: type[Reply] = SurfaceHandle) -> int:
    """The one descriptor of a reply of this kind.

    Raises:
        PeerError: There are none, or several.
        KjuError: The reply is a failure.
    """
    reply, descriptors = answer
    try:
        check_reply(reply, kind)
        if len(descriptors) != 1:
            raise PeerError(f"memory came with {len(descriptors)} descriptors", reply)
    except KjuError:
        close_all(descriptors)
        raise
    return descriptors[0]


class Keyboard:
    """One console's keyboard. Needs the control role.

    Keys are named as QEMU names them (``ret``, ``f2``, ``kp_7``), with the usual aliases
    (``enter``, ``esc``), or given as QEMU key numbers. What is still held down when this
    program ends is released.
    """

    def __init__(self, link: Link, console: int) -> None:
        self._link = link
        self._console = console

    def press(self, *keys: str | int) -> None:
        """Press keys, in this order, and hold them.

        Raises:
            UsageError: There is no such key; nothing has been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.key_steps(keys, True))

    def release(self, *keys: str | int) -> None:
        """Release keys, in this order. Errors as `press`."""
        self._send(requests.key_steps(keys, False))

    def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> None:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other.

        Args:
            chords: Written, or as key numbers.
            interval: Milliseconds between two steps.

        Raises:
            UsageError: A chord names no key; nothing has been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.chord_steps(chords), interval)

    def type(self, text: str, *, layout: str = "us", interval: int = requests.INTERVAL) -> None:
        r"""Type a text; returns when the last key is up. ``"\n"`` is the enter key.

        Args:
            text: What to type.
            layout: The keyboard layout that the guest is set to.
            interval: Milliseconds between two steps; a character takes two, shifted four.

        Raises:
            UsageError: The layout lacks characters, all of which are named; nothing has
                been sent.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        self._send(requests.chord_steps(requests.typed(text, layout)), interval)

    def _send(self, groups: list[requests.Steps], interval: int = requests.INTERVAL) -> None:
        for request in requests.key_requests(self._console, groups, interval):
            self._link.ask(request, Done, requests.duration(request))


class Screens(Sequence[Screen]):
    """A machine's screens, one per console, each opened when it is first used."""

    def __init__(self, link: Link, count: int) -> None:
        self._link = link
        self._open: list[Screen | None] = [None] * count

    def __len__(self) -> int:
        return len(self._open)

    @overload
    def __getitem__(self, index: int) -> Screen: ...
    @overload
    def __getitem__(self, index: slice) -> list[Screen]: ...
    def __getitem__(self, index: int | slice) -> Screen | list[Screen]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        screen = self._open[index]
        if screen is None:
            screen = Screen.of(self._link, range(len(self))[index])
            # Two threads may open it at once; one of the two screens is kept.
            screen = self._open[index] = self._open[index] or screen
        return screen

    def close(self) -> None:
        """Close those that are open."""
        for screen in self._open:
            if screen is not None:
                screen.close()


class Machine(MachineBase[Link, Screen, Keyboard]):
    """One running machine. Use it as a context manager, or `close` it.

    Attributes:
        name: Its name.
        role: What this client may do: ``view`` or ``control``.
        screens: What its consoles show, a `Sequence` of `Screen`.
        owned: Whether the machine ends when this object is closed or this program ends.
    """

    screens: Screens

    def __init__(self, link: Link, child: subprocess.Popen[bytes] | None = None) -> None:
        """Use `launch` or `attach`."""
        super().__init__(link, Screens(link, link.welcome.consoles), Keyboard, child)

    def info(self) -> dict[str, Any]:
        """Everything about the machine: plain maps, lists, numbers and text.

        Raises:
            MachineGoneError: It has ended.
        """
        return self._link.ask(GetInfo(), Info).info

    def wait_gone(self, timeout: float) -> bool:
        """Wait at most *timeout* seconds for the machine to end; returns whether it has."""
        return self._link.wait_gone(timeout)

    def powerdown(self) -> None:
        """Press the guest's power button; what follows is up to the guest.

        Raises:
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        self._link.ask(Stop(how="powerdown"), Done)

    def stop(self) -> None:
        """End the machine, and return when it has ended. Fine if it has already.

        QEMU writes out its disks; the guest is not asked.

        Raises:
            RoleError: This client only views.
            MachineError: It has not ended in 45 s.
        """
        with contextlib.suppress(MachineGoneError):
            self._link.ask(Stop(), Done)
        if not self.wait_gone(END):
            raise requests.not_ended(self.name, END, self.log)
        self._reap()

    def close(self) -> None:
        """Let go of the machine. An owned one ends, and has ended when this returns."""
        self.screens.close()
        self._link.close()
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            from .start import reap

            reap(self._child, END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def launch(
    image: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    memory: str | None = None,
    cpus: int | None = None,
    args: Sequence[str] = (),
    qemu: str | None = None,
    surface: str | os.PathLike[str] | None = None,
    xvfb: bool | str = False,
    detach: bool = False,
    log_level: str = "info",
) -> Machine:
    """Start a machine and attach to it with the control role.

    Args:
        image: A disk, a CD (``.iso``) or a kernel.
        name: What to call it; by default made from the image's name.
        memory: For the guest, such as ``"2G"``.
        cpus: Virtual processors.
        args: QEMU's own arguments, or Xvfb's with *xvfb*, passed on as they are. `Machine.info`
            lists what kju has added and why.
        qemu: The QEMU to run; by default ``$KJU_QEMU``, else the one in PATH.
        surface: Put the screen in a file of this name, for consumers that know only the
            path; it stays, with the last frame in it.
        xvfb: Start an Xvfb, an X server without a screen, in place of a QEMU, with *args* as
            its arguments; ``info()["xvfb"]["display"]`` is what its programs need as DISPLAY.
            Or the name of a running one that shares its screen, which is only looked at: its
            display (``":5"``), the folder of its ``-fbdir``, or ``"sysv:ID"`` for ``-shmem``.
        detach: The machine goes on when this program ends.
        log_level: How much host.log is to hold.

    Raises:
        UsageError: The image cannot be read, or a name is impossible.
        ConflictError: Arguments contradict each other, or what kju needs.
        MachineExistsError: The name is taken.
        QemuError: There is no usable QEMU, or it did not start; QEMU's own words are in it.
        XvfbError: The same of Xvfb; or the running one shares its screen with nobody, or is no
            24-bit one.
    """
    request = requests.launch_request(
        Path(image) if image else None,
        name=runtime.check_name(name) if name else None,
        memory=memory,
        cpus=cpus,
        args=args,
        qemu=qemu,
        surface=Path(surface) if surface else None,
        xvfb=xvfb,
        detach=detach,
        log_level=log_level,
        client=client_name(),
    )
    runtime.sweep()
    from .start import start_host  # what it imports is for those who start something

    child, sock = start_host()
    link = Link(sock, name or "")
    try:
        reply, _ = link.call(request, START)
        link.welcome = check_reply(reply, Welcome)
        link.name = link.welcome.machine
    except BaseException as error:
        if isinstance(error, KjuError) and not isinstance(error, WaitTimeoutError):
            # It hangs up when everything has been taken down: the name is free again then.
            link.wait_gone(END)
        link.close()
        child.wait()
        if isinstance(error, MachineGoneError):
            raise requests.host_failed(child.returncode) from error
        raise
    if detach:
        # The process we started has passed the machine on to a child of its own.
        child.wait()
    return Machine(link, None if detach else child)


def attach(name: str, role: Role = "control") -> Machine:
    """Attach to a running machine. Its end is not tied to this program's.

    Args:
        name: The machine's name; `machines` lists them.
        role: ``control``, or ``view`` to look only.

    Raises:
        UsageError: The name or the role is impossible.
        MachineNotFoundError: None of this name runs.
        MachineGoneError: It ended at this moment.
    """
    return Machine(Link.attach(name, requests.check_role(role), client_name()))


def machines() -> list[str]:
    """The names of this user's running machines, sorted.

    What killed machines have left behind is removed.
    """
    runtime.sweep()
    return runtime.names()
