"""SHELL: the screen of an Xvfb: the memory that the server draws in, and the console that shows it.

Rules:

- A server is identified by its process. Its memory is what that process has open: the file of its
  ``-fbdir``, or the System V segment of its ``-shmem`` that it created itself. Names and arguments
  can be stale, or another server's.
- The header of the memory is copied once and checked against the memory's size. The place of the
  picture in it never changes, not even when the screen is resized (XRandR).
- Everything is opened for reading.
- Memory that was truncated is not read again: nothing restores it.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from ...errors import FormatError, UnavailableError, UsageError, XvfbError
from ...files import peer_of, proc_lines, read_proc
from ...memory import SurfaceProducer
from ...memory._system import Mapping, segment_remove, segment_status
from ...memory.shared import Descriptor
from ...protocol.values import Action
from ...sources.base import OnStatus, Source
from ...sources.framebuffer import FramebufferSource
from ..console import Console, ConsoleFacts, SourceRunner
from ..console_surface import ConsoleSurface
from ..input.devices import Devices, SharedPointer
from ..input.keyboard import KeyboardLamps, SharedKeyboard
from ..input.pace import Pace
from ..supervisor import SingleSource, SourceKind, Supervisor
from . import xwd

_FILE = "Xvfb_screen0"
_DISPLAY = re.compile(r"(?:unix)?:(\d{1,5})(?:\.0)?")
_SEGMENT = re.compile(r"sysv:(\d{1,10})")
_SOCKETS = "/tmp/.X11-unix/X"  # noqa: S108  the X servers' own place
_LISTENS = re.compile(rf"\s(\d+) @?{re.escape(_SOCKETS)}(\d+)$")
#: A mapped System V segment in /proc/PID/maps; the inode is its number.
_MAPPED = re.compile(r"\s(\d+)\s+/SYSV[0-9a-f]{8}\b")
_NO_RESIZE = "a program of the X server resizes it, such as: xrandr --size 800x600"
_SHARE = "start it with -fbdir FOLDER or -shmem, or have kju start one: kju run --xvfb"


class Framebuffer:
    """The mapped memory of one screen.

    Attributes:
        mapping: The whole memory.
        picture: The place of the screen in it.
        address: Its name for people: a file's path, or ``sysv:ID``.
        descriptor: Read-only; None for a System V segment, which has none.

    Raises:
        XvfbError: It is not a screen, or its format is not supported.
    """

    def __init__(self, mapping: Mapping, address: str, descriptor: Descriptor | None) -> None:
        self.mapping = mapping
        self.address = address
        self.descriptor = descriptor
        try:
            self.picture = xwd.parse(bytes(memoryview(mapping)[: xwd.HEADER]), mapping.size)
        except FormatError as error:
            self.close()
            raise XvfbError(f"{address} cannot be shown: {error}") from error

    @classmethod
    def of_file(cls, path: Path, address: str) -> Framebuffer:
        """Map a file.

        Raises:
            OSError: It cannot be opened.
            XvfbError: It is not a screen, or its format is not supported.
        """
        descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        size = os.fstat(descriptor.fileno()).st_size
        if not size:
            descriptor.close()
            raise XvfbError(f"{address} cannot be shown: it is empty")
        return cls(Mapping(descriptor.fileno(), size), address, descriptor)

    @classmethod
    def of_segment(cls, segment_id: int) -> Framebuffer:
        """Attach a System V segment.

        Raises:
            OSError: It does not exist, or cannot be read.
            XvfbError: It is not a screen, or its format is not supported.
        """
        size = segment_status(segment_id)[0]
        return cls(Mapping(segment_id, size, segment=True), f"sysv:{segment_id}", None)

    def close(self) -> None:
        """Close the descriptor; the mapping lives as long as an array uses it."""
        if self.descriptor is not None:
            self.descriptor.close()


class _RunningServer(NamedTuple):
    """A running server and its screen."""

    pid: int
    framebuffer: Framebuffer


def framebuffer_of(pid: int) -> Framebuffer:
    """Map the first screen of a server.

    Raises:
        XvfbError: It shares none, or none in a supported format, or it is another user's.
    """
    try:
        for link, target in _files(pid):
            return Framebuffer.of_file(link, target)
        for number in _segments(pid):
            return Framebuffer.of_segment(number)
    except OSError as error:
        raise XvfbError(
            f"the open files of process {pid} cannot be read: {error.strerror}"
        ) from error
    raise XvfbError(f"the X server of process {pid} does not share its screen: {_SHARE}")


def remove_segments_of(pid: int) -> None:
    """Mark a server's System V segments for removal with their last user.

    Xvfb itself never removes them.
    """
    with contextlib.suppress(OSError):
        for number in _segments(pid):
            with contextlib.suppress(OSError):
                segment_remove(number)


def find_server(where: str) -> _RunningServer:
    """Find a running server and map its screen.

    Args:
        where: A display such as ``:5``, ``sysv:ID``, or an ``-fbdir`` folder or its file.

    Raises:
        XvfbError: It does not run, or does not share its screen.
        UsageError: *where* is not the name of a server.
    """
    if found := _DISPLAY.fullmatch(where):
        pid = _listener(int(found[1]))
        return _RunningServer(pid, framebuffer_of(pid))
    if found := _SEGMENT.fullmatch(where):
        return _creator_of(int(found[1]))
    if "/" not in where and not Path(where).exists():
        raise UsageError(
            f"{where!r} is not a running Xvfb: name a display (:5), a folder or sysv:ID"
        )
    return _user_of(Path(where))


def display_of(pid: int) -> str:
    """Return the display of a server, such as ``:5``; empty if it is not known."""
    with contextlib.suppress(OSError):
        owned = {name for _, name in _links(pid)}
        for line in proc_lines("/proc/net/unix"):
            # The socket's name, if any, follows the inode.
            if found := _LISTENS.search(line):
                inode, number = found.groups()
                if f"socket:[{inode}]" in owned:
                    return f":{number}"
    return ""


def _listener(number: int) -> int:
    """Return the process of a display: the one that listens on its socket."""
    for address in (f"\0{_SOCKETS}{number}", f"{_SOCKETS}{number}"):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(5)
                sock.connect(address)
            except OSError:
                continue
            if pid := peer_of(sock).pid:
                return pid
    raise XvfbError(f"no X server on this computer has the display :{number}")


def _creator_of(number: int) -> _RunningServer:
    try:
        pid = segment_status(number)[2]
        if not Path(f"/proc/{pid}").exists():
            raise XvfbError(
                f"sysv:{number} is a remnant: process {pid}, which created it, has ended"
            )
        return _RunningServer(pid, Framebuffer.of_segment(number))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "no such segment"
        raise XvfbError(f"sysv:{number} cannot be attached: {why}") from error


def _user_of(place: Path) -> _RunningServer:
    """Find the server that has this file open; *place* may be its folder."""
    file = place / _FILE if place.is_dir() else place
    try:
        wanted = file.stat()
    except OSError as error:
        raise XvfbError(f"{file} cannot be opened: {error.strerror}") from error
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        with contextlib.suppress(OSError):
            for link, _ in _files(pid):
                if os.path.samestat(link.stat(), wanted):
                    return _RunningServer(pid, Framebuffer.of_file(link, str(file)))
    raise XvfbError(f"no visible process has {file} open: most likely its Xvfb has ended")


def _files(pid: int) -> Iterator[tuple[Path, str]]:
    """Yield the framebuffer files that a process has open, and their names."""
    for link, target in _links(pid):
        name = target.removesuffix(" (deleted)")
        if name.endswith(f"/{_FILE}"):
            yield link, name


def _links(pid: int) -> Iterator[tuple[Path, str]]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield link, str(link.readlink())


def _segments(pid: int) -> list[int]:
    """Return the System V segments that a process uses and has created."""
    attached = {int(found[1]) for found in _MAPPED.finditer(read_proc(f"/proc/{pid}/maps"))}
    created = []
    for number in sorted(attached):
        with contextlib.suppress(OSError):
            if segment_status(number)[2] == pid:
                created.append(number)
    return created


class _FramebufferKind(SourceKind):
    """Starts the sources that read a server's memory."""

    def __init__(self, framebuffer: Framebuffer) -> None:
        self._framebuffer = framebuffer

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start a source.

        Raises:
            XvfbError: The memory was truncated.
        """
        if self._framebuffer.mapping.lost:
            raise XvfbError(f"{self._framebuffer.address} was truncated by another process")
        source = FramebufferSource(
            self._framebuffer.mapping, self._framebuffer.picture, producer, on_status, name="xvfb"
        )
        source.start(paused=paused)
        return source

    def is_replaceable(self) -> bool:
        """Return whether the memory is whole."""
        return not self._framebuffer.mapping.lost


class _FramebufferRunner(SourceRunner):
    """Runs the source of a server's screen, and owns the screen's memory."""

    def __init__(self, supervisor: Supervisor, framebuffer: Framebuffer) -> None:
        super().__init__(supervisor)
        self._framebuffer = framebuffer

    def live_memory(self) -> int:
        """Return the descriptor of the file that the server draws in; it stays this object's.

        Raises:
            UnavailableError: The server draws in System V memory, which has no descriptor.
        """
        if self._framebuffer.descriptor is None:
            raise UnavailableError(
                "System V memory (-shmem) has no descriptor to hand out: leave out live=True, or"
                " start Xvfb with -fbdir"
            )
        return self._framebuffer.descriptor.fileno()

    def close(self) -> None:
        """Release everything; the supervisor is closed first."""
        super().close()
        self._framebuffer.close()


class XvfbConsole(Console):
    """The first screen of an Xvfb.

    Args:
        surface: Its surface.
        framebuffer: The memory that the server draws in; closed with the console.
    """

    def __init__(self, surface: ConsoleSurface, framebuffer: Framebuffer) -> None:
        self.framebuffer = framebuffer
        policy = SingleSource(_FramebufferKind(framebuffer))
        runner = _FramebufferRunner(Supervisor(surface, policy), framebuffer)
        facts = ConsoleFacts("Xvfb screen 0", no_resize=_NO_RESIZE)
        super().__init__(facts, surface, runner, _refusing_devices())


async def _refuse(*_: object) -> NoReturn:
    raise UsageError(
        "kju sends no input to an X server: use an X program such as xdotool, with the DISPLAY"
        " that kju info shows"
    )


class _RefusingPointer(SharedPointer):
    """A pointer that refuses every action."""

    async def absolute(self) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        await _refuse()

    async def act(self, client: Hashable, actions: Sequence[Action]) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        await _refuse()

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        """Do nothing: no button or finger is ever down."""

    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> None:
        """Do nothing: no button or finger is ever down."""


def _refusing_devices() -> Devices:
    pace = Pace(_refuse)
    return Devices(SharedKeyboard(_refuse, pace), _RefusingPointer(pace), KeyboardLamps())
