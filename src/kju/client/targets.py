"""What a user names: a running machine, or a surface's address."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import (
    FormatError,
    KjuError,
    MachineNotFoundError,
    UsageError,
    WaitTimeoutError,
)
from ..files import descriptor_limit
from ..memory import SharedMemory, open_memory
from ..memory.address import KINDS
from ..protocol.framing import no_screen
from ..protocol.messages import GetInfo, Info
from ..store import running
from .link import Link
from .machine import Machine, attach, client_name
from .screen import Screen
from .surface import Surface

#: A host answers in a millisecond; `kju ls` waits so long for one that does not.
RESPONSE_SECONDS = 2.0
BUSY_SECONDS = 10.0
#: A machine whose host does not respond keeps nobody waiting but its own thread.
_AT_ONCE = 32


class UnreadableError(KjuError):
    """A surface's address cannot be opened."""


def is_address(target: str) -> bool:
    """Whether this is a surface's address: machines' names have no slash and no colon."""
    return "/" in target or (":" in target and target.partition(":")[0] in KINDS)


def open_address(address: str) -> SharedMemory:
    """Open a surface's memory.

    Raises:
        UnreadableError: It does not exist, or this user may not read it.
    """
    try:
        return open_memory(address)
    except OSError as error:
        why = error.strerror
        if address.startswith("sysv:") and error.errno == errno.EINVAL:
            why = "no shared memory segment has this number; list them with: ipcs -m"
        unreadable = UnreadableError(f"{address} cannot be opened: {why}")
        raise descriptor_limit(error) or unreadable from error


def open_surface(address: str, *, follow: bool = False) -> Surface:
    """The surface at an address.

    Args:
        address: A path, ``posix:/NAME`` or ``sysv:ID``.
        follow: Go on with the next producer when this one has gone.

    Raises:
        UnreadableError: It does not exist, or this user may not read it.
        FormatError: It is no surface.
    """
    open_address(address).close()
    with named(address):
        return Surface(address, follow=follow)


@contextlib.contextmanager
def named(address: str) -> Iterator[None]:
    """Say of a surface that can't be read which it is, and what would be one."""
    try:
        yield
    except FormatError as error:
        hint = "a surface is what a producer has made, for one `kju run --surface PATH`"
        raise FormatError(f"{address}: {error}; {hint}", error.found, error.expected) from error


def attach_to_look(name: str, *, or_address: bool = False) -> Machine:
    """A machine, for looking only.

    Args:
        name: Its name.
        or_address: An address would have done as well: say so if there is such a file.

    Raises:
        MachineNotFoundError: No running machine has this name.
        UsageError: None can have it.
    """
    try:
        return attach(name, role="view")
    except (MachineNotFoundError, UsageError) as error:
        if not (or_address and Path(name).is_file()):
            raise
        hint = f"{error}; for the surface in the file of this name: ./{name}"
        if isinstance(error, MachineNotFoundError):
            raise MachineNotFoundError(hint, error.name) from error
        raise UsageError(hint) from error


def all_info(names: Sequence[str]) -> list[dict[str, Any] | KjuError]:
    """`Machine.info` of several machines, asked at once.

    Returns:
        In the order of the names. For a machine that could not be asked the error, which is a
        `WaitTimeoutError` if its host does not answer within `RESPONSE_SECONDS`.
    """

    def ask(name: str) -> dict[str, Any] | KjuError:
        try:
            link = Link.attach(name, "view", client_name(), RESPONSE_SECONDS)
            try:
                return link.ask(GetInfo(), Info).info
            finally:
                link.close()
        except KjuError as error:
            return error

    with ThreadPoolExecutor(max_workers=max(1, min(len(names), _AT_ONCE))) as threads:
        return list(threads.map(ask, names))


def responds(name: str) -> bool:
    """Whether a running machine's host answers.

    One whose process is stopped has `RESPONSE_SECONDS`. One that runs has `BUSY_SECONDS`: it may
    be that the computer is busy.

    Raises:
        MachineNotFoundError: No running machine has this name.
    """
    for patience in (RESPONSE_SECONDS, BUSY_SECONDS):
        try:
            Link.attach(name, "view", client_name(), patience).close()
        except WaitTimeoutError:
            if running.is_stopped(running.host_pid(name)):
                return False
        except MachineNotFoundError:
            raise
        except KjuError:
            return True  # it answers, though not with what was asked
        else:
            return True
    return False


def screen_of(machine: Machine, console: int) -> Screen:
    """One of a machine's screens.

    Raises:
        UsageError: It has no such console.
    """
    check_console(machine, console)
    return machine.screens[console]


def check_console(machine: Machine, console: int) -> None:
    """Refuse a console that a machine does not have.

    Raises:
        UsageError: It has no such console.
    """
    have = len(machine.screens)
    if not have:
        raise no_screen(machine.name)
    if console >= have:
        some = f"consoles 0 to {have - 1}" if have > 1 else "1 console"
        raise UsageError(f"{machine.name} has {some}, so there is no console {console}")
