"""SHELL: child processes that end with the host, together with everything in their group.

Linux ties the parent-death signal to the *thread* that forked: when that thread ends, the child
gets the signal. So every child is started from the main thread, which runs the event loop and
lives as long as the host. It is also started before another thread runs Python, because some Python
runs between fork and exec (it requests the signal). NumPy's own threads exist by then; they sleep,
and hold no lock that is needed.

The kernel clears the signal when the child changes its user (``-run-with user=``). For such a child
`guard` starts a process that waits for the host's end. It is a fork, not a program of its own, so
that no file has to be found; and only for such children, because it takes memory.

Source:
    PR_SET_PDEATHSIG: prctl(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence

from ..memory import _system


def reset_signals() -> None:
    """Give every signal its default action, for this process and the children it starts.

    The dispositions of a program survive exec: under `nohup`, or in the background of a script,
    SIGHUP or SIGINT would be ignored by the host and by QEMU too. SIGPIPE and SIGXFSZ stay
    ignored here, as Python wants them; `subprocess` restores both in a child.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def spawn(
    command: Sequence[str],
    *,
    output: int,
    inherit: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child that is killed when this process ends.

    It leads a process group of its own, has no input, writes both its outputs to the descriptor
    *output*, and inherits only the descriptors in *inherit*.

    Raises:
        OSError: It could not be started.
        RuntimeError: Called from a thread that may end before the process does.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread: see kju.emulators.spawn")
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


def guard(child: subprocess.Popen[bytes]) -> int:
    """Start a guard: it kills a child and its group when this process ends, whatever its user.

    Returns:
        The guard's process number; give it to `dismiss` when the child has ended.
    """
    us, it = os.pidfd_open(os.getpid()), os.pidfd_open(child.pid)
    number = os.fork()
    if number == 0:
        try:
            _stand_guard(us, it, child.pid)
        finally:
            # The fork must not run the host's own exit handlers.
            os._exit(0)
    os.close(us)
    os.close(it)
    return number


def _stand_guard(host: int, child: int, group: int) -> None:
    # A signal that ends the host's group or session must not end this process.
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # Open here, the host's lock would outlive the host, and its clients would not see its end.
    first, second = sorted((host, child))
    os.closerange(0, first)
    os.closerange(first + 1, second)
    os.closerange(second + 1, os.sysconf("SC_OPEN_MAX"))
    poll = select.poll()
    poll.register(host, select.POLLIN)
    poll.register(child, select.POLLIN)
    ended = [fd for fd, _ in poll.poll()]
    if child not in ended:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(child, signal.SIGKILL)


def dismiss(number: int) -> None:
    """End a guard."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and its group; does nothing if it has ended."""
    # Until the child is waited for, its number, and so its group's, is not reused.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def descriptor_of(pid: int) -> Iterator[int]:
    """Yield a descriptor of a process; unlike a number it is never another process's.

    Raises:
        OSError: The process does not exist.
    """
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def ended(descriptor: int) -> None:
    """Wait for the end of any process, without a thread.

    Source:
        pidfd_open(2), Linux 5.3: readable when the process has ended.
    """
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)


async def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child without a thread; return its status, negative for a signal.

    Processes that the child left in its group are killed.
    """
    if child.returncode is not None:
        return child.returncode
    with descriptor_of(child.pid) as descriptor:
        await ended(descriptor)
    if child.returncode is None:
        kill_group(child)
    return child.wait()


def describe(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
