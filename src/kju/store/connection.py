"""SHELL: connecting to a machine's control socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from ..errors import MachineNotFoundError, WaitTimeoutError
from ..files import descriptor_limit, limited
from .paths import Paths

#: sun_path of struct sockaddr_un holds 108 bytes, the last of them zero (unix(7)).
MAX_ADDRESS = 107


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield an address of *path* that is short enough for a Unix socket; valid in the block."""
    if len(os.fsencode(path)) <= MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(machine: Paths, name: str, timeout: float | None = None) -> socket.socket:
    """Connect to a machine's control socket.

    Args:
        machine: Its files.
        name: Its name, for messages.
        timeout: Seconds to wait while the socket's queue is full; 0 does not wait, None is no
            limit.

    Raises:
        MachineNotFoundError: Nothing listens there.
        LimitError: This process cannot open more files.
        WaitTimeoutError: The host did not accept the connection in time.
    """
    with limited():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if timeout == 0:
        connection.setblocking(False)
    elif timeout is not None:
        # Not `settimeout`: a non-blocking connect does not wait for a place in the queue (unix(7)).
        parts = divmod(int(timeout * 1e6), 1_000_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *parts))
    try:
        with reachable(machine.control) as address:
            connection.connect(address)
    except BlockingIOError as error:
        connection.close()
        raise WaitTimeoutError(f"the host of {name!r} did not answer in time") from error
    except OSError as error:
        connection.close()
        if limit := descriptor_limit(error):
            raise limit from error
        raise MachineNotFoundError(
            f"the machine {name!r} does not answer on {machine.control}: {error.strerror}", name
        ) from error
    return connection
