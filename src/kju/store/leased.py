"""SHELL: the leases of this user's running machines: their clock, and the files that name them.

A lease is in a file as well, because its holder has to find machines whose hosts do not answer.
The file has the lease of the launch; renewals are known to the host only.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ..errors import KjuError
from ..files import Folder
from ..protocol.leases import Lease
from .paths import NAME, Paths, runtime_folder
from .running import is_alive

#: Bytes of the file; the facts are the definition of one machine.
_MAX_FILE = 1 << 20


class LeasedMachine(NamedTuple):
    """A running machine with a lease.

    Attributes:
        name: Its name.
        lease: The lease of its launch.
    """

    name: str
    lease: Lease


def lease_clock() -> float:
    """Return the time of leases; it also counts while the computer sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write_lease(machine: Paths, lease: Lease) -> None:
    """Write the lease of a machine into its folder.

    Raises:
        FileError: The file could not be written.
    """
    with Folder.open(machine.folder) as folder:
        folder.write(machine.lease.name, msgspec.json.encode(lease), durable=False)


def leased_machines(holder: str | None = None) -> Iterator[LeasedMachine]:
    """Yield the running machines of one holder, or of all, also those that are not listed.

    Raises:
        RuntimeFolderError: The folder of running machines is not usable.
    """
    top = runtime_folder(create=False)
    folders = sorted(top.iterdir()) if top.is_dir() else []
    for machine in map(Paths, folders):
        name = machine.folder.name
        with contextlib.suppress(KjuError, msgspec.MsgspecError, UnicodeDecodeError):
            lease = _read(machine) if NAME.fullmatch(name) else None
            if lease is None or holder not in (None, lease.holder):
                continue
            if is_alive(machine):
                yield LeasedMachine(name, lease)


def _read(machine: Paths) -> Lease | None:
    with Folder.open(machine.folder) as folder:
        if not folder.has(machine.lease.name):
            return None
        data = folder.read(machine.lease.name, limit=_MAX_FILE)
    return msgspec.json.decode(data, type=Lease)
