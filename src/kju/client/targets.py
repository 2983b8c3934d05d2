"""Machines by name, and surfaces by address."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from ..store import definitions, running
from ..store.machine_toml import Definition
from ..store.paths import DEFINITION_FILE, definitions_folder
from .launching import attach
from .link import Link
from .machine import Machine
from .requests import client_name
from .surface import Screen, Surface

#: Seconds that `kju ls` waits for a host; most reply within a millisecond.
RESPONSE_SECONDS = 2.0
#: The same on a busy computer.
_BUSY_SECONDS = 10.0
#: Hosts that are asked at the same time, each on a thread.
_AT_ONCE = 32


class ListedMachine(NamedTuple):
    """One machine of this user, as `machines` lists it.

    Attributes:
        name: Its name.
        is_alive: True while it runs: `attach` opens it.
        file: The file of its definition: `start` starts it. None for a machine that is not defined.
    """

    name: str
    is_alive: bool
    file: Path | None


def machines() -> list[ListedMachine]:
    """List this user's machines, running and defined ones, sorted by name.

    The files of machines that were killed are removed.
    """
    alive = set(running_names())
    files = {name: definitions_folder() / name / DEFINITION_FILE for name in definitions.names()}
    return [
        ListedMachine(name, name in alive, files.get(name)) for name in sorted(alive | files.keys())
    ]


def running_names() -> list[str]:
    """Return the names of this user's running machines, sorted."""
    running.sweep()
    return running.names()


def definition(name: str) -> Definition:
    """Return the definition of a machine.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: The definition is not valid.
        FileError: The file can't be read.
    """
    return definitions.read(name).definition


# ---- Addresses


class UnreadableError(KjuError):
    """A surface's address cannot be opened."""


def is_address(target: str) -> bool:
    """Check for the address of a surface: names of machines have no slash and no colon."""
    return "/" in target or (":" in target and target.partition(":")[0] in KINDS)


def open_address(address: str) -> SharedMemory:
    """Open the memory of a surface.

    Raises:
        UnreadableError: It is missing, or this user may not read it.
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
    """Open the surface at an address.

    Args:
        address: A path, ``posix:/NAME`` or ``sysv:ID``.
        follow: Continue with the next producer after the end of this one.

    Raises:
        UnreadableError: It is missing, or this user may not read it.
        FormatError: It is not a surface.
    """
    open_address(address).close()
    with named(address):
        return Surface(address, follow=follow)


@contextlib.contextmanager
def named(address: str) -> Iterator[None]:
    """Add the address and a hint to the error of an invalid surface."""
    try:
        yield
    except FormatError as error:
        hint = "`kju run --surface PATH` makes a surface"
        raise FormatError(f"{address}: {error}; {hint}", error.found, error.expected) from error


def attach_to_look(name: str, *, or_address: bool = False) -> Machine:
    """Attach to a machine with the view role.

    Args:
        name: Its name.
        or_address: The command also takes an address: the error mentions a file of this name.

    Raises:
        MachineNotFoundError: No running machine has this name.
        UsageError: The name is not valid.
    """
    try:
        return attach(name, role="view")
    except (MachineNotFoundError, UsageError) as error:
        if not (or_address and Path(name).is_file()):
            raise
        hint = f"{error}; to open the file, write ./{name}"
        if isinstance(error, MachineNotFoundError):
            raise MachineNotFoundError(hint, error.name) from error
        raise UsageError(hint) from error


def all_info(names: Sequence[str]) -> list[dict[str, Any] | KjuError]:
    """Return `Machine.info` of several machines, which are asked at the same time.

    Returns:
        One entry per name, in their order. The entry is the error if there is one: a
        `WaitTimeoutError` if the host does not reply within `RESPONSE_SECONDS`.
    """
    from concurrent.futures import ThreadPoolExecutor

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
    """Check whether the host of a running machine replies.

    A stopped process has `RESPONSE_SECONDS` to reply. A running one has `_BUSY_SECONDS`, as the
    computer may be busy.

    Raises:
        MachineNotFoundError: No running machine has this name.
    """
    for seconds in (RESPONSE_SECONDS, _BUSY_SECONDS):
        try:
            Link.attach(name, "view", client_name(), seconds).close()
        except WaitTimeoutError:
            if running.is_stopped(running.host_pid(name)):
                return False
        except MachineNotFoundError:
            raise
        except KjuError:
            return True  # an error is a reply, too
        else:
            return True
    return False


def screen_of(machine: Machine, console: int) -> Screen:
    """Return one of a machine's screens.

    Raises:
        UsageError: The machine has no such console.
    """
    check_console(machine, console)
    return machine.screens[console]


def check_console(machine: Machine, console: int) -> None:
    """Check that a machine has a console.

    Raises:
        UsageError: The machine has no such console.
    """
    have = len(machine.screens)
    if not have:
        raise no_screen(machine.name)
    if console >= have:
        some = f"consoles 0 to {have - 1}" if have > 1 else "1 console"
        raise UsageError(f"{machine.name} has {some}, so there is no console {console}")
