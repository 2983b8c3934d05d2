"""SHELL: the processes of hosts: started one by one, or forked from one process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import site
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from ..files import limited
from ..protocol.spawning import FORKED, MAX_MESSAGE, SPAWNER, exit_status

if TYPE_CHECKING:
    import subprocess

#: Seconds for the spawner to end when its socket is closed.
_END = 10.0


def start_host() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a host that waits for its `Launch` on the returned socket.

    It has a session of its own, so a terminal's Ctrl+C or end does not reach it: the connection
    decides how long the machine lives. The socket carries the request: others could read a command
    line.

    Raises:
        LimitError: This process can open no more files.
        OSError: The process could not be started for another reason.
    """
    with limited():
        ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = _start(theirs)
        except BaseException:
            ours.close()
            raise
    return process, ours


class SpawnedHost:
    """A host that a `HostSpawner` has started.

    Args:
        outcome: The socket on which it reports its outcome; taken over.

    Attributes:
        returncode: Its exit status, 0 for a machine that was detached; None while it starts.
    """

    def __init__(self, outcome: socket.socket) -> None:
        outcome.setblocking(False)
        self.returncode: int | None = None
        self._outcome = outcome
        self._process = -1
        self._is_killed = False

    def fileno(self) -> int:
        """Return a descriptor that can be read when `poll` may have something new."""
        return self._outcome.fileno()

    def poll(self) -> int | None:
        """Return its exit status; None while it runs and is not detached."""
        while self.returncode is None:
            try:
                word, descriptors, _, _ = socket.recv_fds(self._outcome, MAX_MESSAGE, 1)
            except BlockingIOError:
                return None
            except OSError:
                word, descriptors = b"", []
            if word == FORKED and descriptors:
                self._process = descriptors[0]
                if self._is_killed:
                    self.kill()
                continue
            for each in descriptors:
                os.close(each)
            self.returncode = exit_status(word)
            self._close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, or until it is detached: at most *timeout* seconds.

        Raises:
            subprocess.TimeoutExpired: It has not ended in time.
        """
        import subprocess

        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self], [], [], left)[0]:
                raise subprocess.TimeoutExpired("kju.host", timeout or 0.0)
        return status

    def kill(self) -> None:
        """Kill it."""
        self._is_killed = True
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def _close(self) -> None:
        self._outcome.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


#: A host's process.
HostProcess: TypeAlias = Union["subprocess.Popen[bytes]", SpawnedHost]


class HostSpawner:
    """Starts hosts as forks of one process, which has their modules already.

    The process is started when it is needed, and again if it was killed.
    """

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> tuple[SpawnedHost, socket.socket]:
        """Start a host that waits for its `Launch` on the returned socket.

        Raises:
            LimitError: This process can open no more files.
            OSError: No process could be started.
        """
        with limited():
            ours, theirs = socket.socketpair()
            ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, ends[1]:
            try:
                try:
                    self._send(theirs, ends[1])
                except OSError:  # it was killed
                    self.close()
                    self._send(theirs, ends[1])
            except BaseException:
                ours.close()
                ends[0].close()
                raise
        return SpawnedHost(ends[0]), ours

    def close(self) -> None:
        """End the process; its hosts go on."""
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            import subprocess

            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _send(self, *sockets: socket.socket) -> None:
        if self._control is None:
            with limited():
                self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = _start(theirs, SPAWNER)
        socket.send_fds(self._control, [b"h"], [sock.fileno() for sock in sockets])


def _start(theirs: socket.socket, *words: str) -> subprocess.Popen[bytes]:
    """Start ``python -m kju.host FD`` with a socket, and further words.

    Raises:
        LimitError: This process can open no more files.
        OSError: The process could not be started for another reason.
    """
    with limited():
        import subprocess  # only for programs that start machines; it opens files, too

        # -P: a file in the working directory must not be imported as a module.
        command = [sys.executable, "-P", "-m", "kju.host", str(theirs.fileno()), *words]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=child_environment(),
        )


def child_environment() -> dict[str, str]:
    """Return our environment with the folder that this package was imported from."""
    home = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH", "")
    # A path that the program itself has added must be passed on. The folder of an installed package
    # must not: it would come before the standard library.
    known = {*path.split(os.pathsep), *site.getsitepackages(), site.getusersitepackages()}
    if home not in sys.path or home in known:
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": f"{home}{os.pathsep}{path}" if path else home}
