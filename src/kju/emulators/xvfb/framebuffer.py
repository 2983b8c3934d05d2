"""SHELL: the memory that an Xvfb draws a screen in: finding it, and mapping it.

Rules:

- A server is known by its process, and what it shares by what that process has open: the file
  of its ``-fbdir``, or the System V segment of its ``-shmem`` that it has made itself. Names and
  arguments can be stale or another's.
- The memory's header is copied once and checked against the memory's size; it says where the
  picture lies, for good: resizing (XRandR) does not change it.
- Everything is opened for reading.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import FormatError, UsageError, XvfbError
from ...files import peer_of
from ...memory._system import Mapping, segment_remove, segment_status
from ...memory.descriptor import Descriptor
from . import xwd

_FILE = "Xvfb_screen0"
_DISPLAY = re.compile(r"(?:unix)?:(\d{1,5})(?:\.0)?")
_SEGMENT = re.compile(r"sysv:(\d{1,10})")
_SOCKETS = "/tmp/.X11-unix/X"  # noqa: S108  the X servers' own place
_LISTENS = re.compile(rf"\s(\d+) @?{re.escape(_SOCKETS)}(\d+)$")
#: A mapped System V segment in /proc/PID/maps; the inode is its number.
_MAPPED = re.compile(r"\s(\d+)\s+/SYSV[0-9a-f]{8}\b")
SHARE = "start it with -fbdir FOLDER or -shmem, or have kju start one: kju run --xvfb"


class Framebuffer:
    """One screen's memory, mapped.

    Attributes:
        mapping: All of it.
        picture: Where in it the screen lies.
        address: What it is, for people: a file's path, or ``sysv:ID``.
        descriptor: Read-only; None for a System V segment, which has none.

    Raises:
        XvfbError: It is no screen that can be shown.
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
            XvfbError: It is no screen that can be shown.
        """
        descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        size = os.fstat(descriptor.fileno()).st_size
        if not size:
            descriptor.close()
            raise XvfbError(f"{address} cannot be shown: it is empty")
        return cls(Mapping(descriptor.fileno(), size), address, descriptor)

    @classmethod
    def of_segment(cls, number: int) -> Framebuffer:
        """Attach a System V segment.

        Raises:
            OSError: There is none, or it cannot be read.
            XvfbError: It is no screen that can be shown.
        """
        size = segment_status(number)[0]
        return cls(Mapping(number, size, segment=True), f"sysv:{number}", None)

    def close(self) -> None:
        """Give the descriptor back; the mapping lives as long as somebody looks at it."""
        if self.descriptor is not None:
            self.descriptor.close()


class Running(NamedTuple):
    """A server that runs, and its screen."""

    pid: int
    framebuffer: Framebuffer


def of_process(pid: int) -> Framebuffer:
    """The first screen of a server.

    Raises:
        XvfbError: It shares none, or none that can be shown, or it is another user's.
    """
    try:
        for link, target in _files(pid):
            return Framebuffer.of_file(link, target)
        for number in _segments(pid):
            return Framebuffer.of_segment(number)
    except OSError as error:
        raise XvfbError(f"process {pid} cannot be looked into: {error.strerror}") from error
    raise XvfbError(f"the X server of process {pid} shares its screen with nobody: {SHARE}")


def remove_with(pid: int) -> None:
    """Have a server's System V segments go with the last process that uses them.

    By itself Xvfb leaves them behind, however it ends.
    """
    with contextlib.suppress(OSError):
        for number in _segments(pid):
            with contextlib.suppress(OSError):
                segment_remove(number)


def find(where: str) -> Running:
    """A running server and its screen.

    Args:
        where: A display such as ``:5``, ``sysv:ID``, or an ``-fbdir`` folder or its file.

    Raises:
        XvfbError: There is none, or it does not share its screen.
        UsageError: *where* names nothing.
    """
    if found := _DISPLAY.fullmatch(where):
        pid = _listener(int(found[1]))
        return Running(pid, of_process(pid))
    if found := _SEGMENT.fullmatch(where):
        return _maker_of(int(found[1]))
    if "/" not in where and not Path(where).exists():
        raise UsageError(f"{where!r} is no running Xvfb: name a display (:5), a folder or sysv:ID")
    return _user_of(Path(where))


def display_of(pid: int) -> str:
    """The display that a server serves, such as ``:5``; empty where that is not known."""
    with contextlib.suppress(OSError):
        owned = {name for _, name in _links(pid)}
        for line in Path("/proc/net/unix").read_text().splitlines():
            # Where a socket has a name, it follows the inode.
            if found := _LISTENS.search(line):
                inode, number = found.groups()
                if f"socket:[{inode}]" in owned:
                    return f":{number}"
    return ""


def _listener(number: int) -> int:
    """The process that serves a display: whoever listens on its socket."""
    for address in (f"\0{_SOCKETS}{number}", f"{_SOCKETS}{number}"):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(5)
                sock.connect(address)
            except OSError:
                continue
            if pid := peer_of(sock).pid:
                return pid
    raise XvfbError(f"no X server of this computer serves the display :{number}")


def _maker_of(number: int) -> Running:
    try:
        pid = segment_status(number)[2]
        if not Path(f"/proc/{pid}").exists():
            raise XvfbError(f"sysv:{number} is left over: process {pid}, which made it, has ended")
        return Running(pid, Framebuffer.of_segment(number))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "there is no such segment"
        raise XvfbError(f"sysv:{number} cannot be attached: {why}") from error


def _user_of(place: Path) -> Running:
    """The server that has this file open, which may be named by its folder."""
    file = place / _FILE if place.is_dir() else place
    try:
        wanted = file.stat()
    except OSError as error:
        raise XvfbError(f"{file} cannot be opened: {error.strerror}") from error
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        with contextlib.suppress(OSError):
            for link, _ in _files(pid):
                if os.path.samestat(link.stat(), wanted):
                    return Running(pid, Framebuffer.of_file(link, str(file)))
    raise XvfbError(f"no process that we can see has {file} open: its Xvfb has ended, most likely")


def _files(pid: int) -> Iterator[tuple[Path, str]]:
    """The framebuffers' files that a process has open, and what they are called."""
    for link, target in _links(pid):
        name = target.removesuffix(" (deleted)")
        if name.endswith(f"/{_FILE}"):
            yield link, name


def _links(pid: int) -> Iterator[tuple[Path, str]]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield link, str(link.readlink())


def _segments(pid: int) -> list[int]:
    """The System V segments that a process uses and has made."""
    used = {int(found[1]) for found in _MAPPED.finditer(Path(f"/proc/{pid}/maps").read_text())}
    made = []
    for number in sorted(used):
        with contextlib.suppress(OSError):
            if segment_status(number)[2] == pid:
                made.append(number)
    return made
