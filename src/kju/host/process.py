"""SHELL: children that never outlive us, and leave with their whole group.

Linux ties the parent-death signal to the *thread* that forked: when that thread ends the
child gets the signal, whatever the rest of the process does. So every child is started
from the main thread, which runs the event loop and lives as long as the host; and before
any other thread exists, because Python code runs between fork and exec (it asks for the
signal), which is only safe in a process of one thread.

Source:
    PR_SET_PDEATHSIG: prctl(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence

from .. import _system


def spawn(
    command: Sequence[str],
    *,
    output: int,
    inherit: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child that dies with this process.

    It leads a process group of its own, reads from nowhere, writes both its outputs to
    *output*, a descriptor, and inherits only the descriptors in *inherit*.

    Raises:
        OSError: It could not be started.
        RuntimeError: Called from a thread that may end before the process does.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread: see kju.host.process")
    parent = os.getpid()
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(inherit),
        process_group=0,
        preexec_fn=lambda: _system.die_with_parent(parent),
    )


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and what it started; a child that is gone already is fine."""
    # While the child is not waited for, its number, hence its group's, is nobody else's.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


async def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child without a thread; return its status, negative for a signal.

    What the child started and left behind in its group is killed.

    Source:
        pidfd_open(2), Linux 5.3: readable when the process has ended.
    """
    if child.returncode is not None:
        return child.returncode
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(child.pid)
    ended = asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    if child.returncode is None:
        kill_group(child)
    return child.wait()


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
