"""SHELL: a process with a host's modules, which forks a host for each connection.

A fork costs a few milliseconds, and its modules share their memory; a new process needs 25 MB and a
third of a second for them. ``python -m kju.host FD spawner`` is started by
`kju.client.processes.HostSpawner`, which has the other end of the socket. Each message on it brings
two sockets: the connection of a launcher, and a socket for the outcome. The process
ends when the socket is closed; its hosts do not end with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from importlib import import_module

from ..protocol.spawning import DETACHED, FORKED

#: Imported before any fork: the modules that a host of QEMU imports while it starts.
_MODULES = ("..emulators.qemu.emulator", "..emulators.qemu.display.source_policy")


class SpawnedOutcome:
    """Reports to the launcher of a host that was forked for it.

    Args:
        sock: The launcher's socket for that.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        own = os.pidfd_open(os.getpid())
        with contextlib.suppress(OSError):  # the launcher has ended
            socket.send_fds(sock, [FORKED], [own])
        os.close(own)

    def detached(self) -> None:
        """Report that the machine was detached: the launcher waits for this process no longer."""
        self._report(DETACHED)

    def ended(self, status: int) -> None:
        """Report the exit status of this process, unless the machine was detached."""
        self._report(b"%d" % status)

    def _report(self, word: bytes) -> None:
        with self._sock as sock, contextlib.suppress(OSError):
            if sock.fileno() >= 0:
                sock.send(word)


def preload() -> None:
    """Import the modules that hosts import while they start."""
    for name in _MODULES:
        import_module(name, __package__)


def serve(control: socket.socket) -> tuple[socket.socket, SpawnedOutcome] | None:
    """Fork a host for each message until the socket is closed.

    Returns:
        In each host the connection of its launcher, and its outcome; in this process None.
    """
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    # A child is waited for at once: a host that has ended must not be found as a process.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    with control, woken, waker:
        while True:
            ready, _, _ = select.select([control, woken], [], [])
            with contextlib.suppress(BlockingIOError):
                woken.recv(1 << 10)
            _wait_for_children()
            if control not in ready:
                continue
            data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not data:
                return None
            sockets = [socket.socket(fileno=each) for each in descriptors]
            if len(sockets) == 2 and not os.fork():
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                launcher, outcome = sockets
                return launcher, SpawnedOutcome(outcome)
            for sock in sockets:
                sock.close()


def _wait_for_children() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
