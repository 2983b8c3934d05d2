"""SHELL: QMP over an inherited socket, through qemu.qmp."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

from qemu.qmp import ExecInterruptedError, Message, QMPClient, QMPError, Runstate

from ...errors import QemuError
from ...sources.display1.source import socket_pair

log = logging.getLogger(__name__)

#: Seconds for an answer. QEMU's main loop answers in a millisecond; on a busy computer it was seen
#: to block for a second while it created a large guest.
TIMEOUT = 10.0

#: Bytes of one line; a longer line ends the connection, and the machine. A client may run any
#: command: "info tlb" prints 48 bytes for each page (3.9 MB of a small Linux), so this is enough
#: for 5 GiB in pages of 4 KiB.
MAX_LINE = 64 << 20

#: Parts of the time limit; the answer is checked after each (`Qmp._finish`).
_PARTS = 10

#: Beginnings of an error in the output of the human monitor.
_MONITOR_ERRORS = ("Error: ", "unknown command: ")

#: The reason of `Qmp.closed` when QEMU has disconnected.
DISCONNECTED = "QEMU has disconnected"

OnEvent = Callable[[str, dict[str, Any]], None]


class _Client(QMPClient):
    """qemu.qmp's client, which can also write a command without waiting for its writer task.

    The library queues each command for a task: two turns of the event loop lie between the call
    and the line on the socket. Here the call writes the line, and the library matches the answer by
    the id as for its own commands.
    """

    def begin(self, command: str, arguments: dict[str, object] | None) -> str:
        """Write a command; return its id for `finish`.

        The transport buffers bytes that QEMU does not read yet. A command that the library has
        queued is written first, so the order of calls is the order of lines.

        Raises:
            QMPError: The connection has ended, or has not been greeted yet.
        """
        if self.runstate is not Runstate.RUNNING or self._writer is None:
            raise QMPError("not connected")
        message = self.make_execute_msg(command, arguments)
        number = message["id"] = self._get_exec_id()
        self._pending[number] = asyncio.Queue(maxsize=1)
        if self._outgoing.empty():
            # The library sends no newline; with one, two commands in one packet are easier to read.
            self._writer.write(bytes(message) + b"\n")
        else:
            self._outgoing.put_nowait(message)
        return number

    async def finish(self, number: str) -> Message:
        """Wait for QEMU's answer to a command, and forget the command.

        Raises:
            ExecInterruptedError: The connection has ended.
        """
        try:
            answer: Message | ExecInterruptedError = await self._pending[number].get()
        finally:
            self.forget(number)
        if isinstance(answer, ExecInterruptedError):
            raise answer
        return answer

    def forget(self, number: str) -> None:
        """Ignore the answer to a command. A second call does nothing."""
        self._pending.pop(number, None)


class Qmp:
    """One QMP connection.

    If `connect` fails the socket is closed. When QEMU disconnects or sends invalid QMP, every
    waiting and later call raises `QemuError`, and `closed` is set.

    Attributes:
        closed: Done once the connection has ended; its result is the reason.
    """

    def __init__(self, client: _Client, events: asyncio.Task[None]) -> None:
        """Use `connect` instead."""
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._client = client
        self._events = events
        self._handing = asyncio.Lock()
        self._closing = asyncio.Event()
        self._end = asyncio.create_task(self._wait_for_end(), name="qmp-end")

    @classmethod
    async def connect(cls, sock: socket.socket, name: str, on_event: OnEvent) -> Qmp:
        """Greet QEMU at the other end of *sock*, and pass on its events from now on.

        Raises:
            QemuError: The peer does not speak QMP, or has disconnected.
        """
        client = _Client(name)
        client.readbuflen = MAX_LINE
        sock.setblocking(False)
        try:
            await client.connect(sock)
        except (QMPError, OSError, EOFError) as error:
            raise QemuError(f"QEMU did not answer on QMP: {_one_line(error)}", name) from error
        finally:
            # qemu.qmp does not close the socket of a session that failed to start.
            if client.runstate.name != "RUNNING":
                sock.close()
        return cls(
            client, asyncio.create_task(_pass_on_events(client, on_event), name="qmp-events")
        )

    def begin(
        self, command: str, arguments: dict[str, object] | None = None, timeout: float = TIMEOUT
    ) -> asyncio.Task[Any]:
        """Write one command before this returns.

        Returns:
            The answer. It raises `QemuError`: QEMU refused, did not answer in time, or has
            disconnected.

        Raises:
            QemuError: The connection has ended; nothing was written.
        """
        try:
            number = self._client.begin(command, arguments)
        except (QMPError, OSError) as error:
            raise _refused(command, error) from error
        answer = asyncio.create_task(self._finish(command, number, timeout))
        # A callback, because a task that is cancelled before its first step never runs.
        answer.add_done_callback(lambda _: self._client.forget(number))
        return answer

    async def execute(
        self, command: str, arguments: dict[str, object] | None = None, timeout: float = TIMEOUT
    ) -> Any:  # noqa: ANN401  what QMP returns is JSON
        """Run one command.

        Raises:
            QemuError: QEMU refused, did not answer in time, or has disconnected.
        """
        return await self.begin(command, arguments, timeout)

    async def _finish(self, command: str, number: str, timeout: float) -> Any:  # noqa: ANN401
        answer = asyncio.ensure_future(self._client.finish(number))
        try:
            # In parts: when a suspended process resumes, a single limit would be over before the
            # process can read an answer that arrived long ago.
            for _ in range(_PARTS):
                if (await asyncio.wait({answer}, timeout=timeout / _PARTS))[0]:
                    return _returned(command, answer.result())
            raise QemuError(f"QEMU did not answer {command} in {timeout:g} s")
        except (QMPError, OSError, EOFError) as error:
            raise _refused(command, error) from error
        finally:
            answer.cancel()

    async def monitor(self, line: str) -> str:
        """Run one command of the human monitor, for which QMP has none; return its output.

        Raises:
            QemuError: QEMU refused, did not answer in time, or has disconnected.
        """
        output = str(await self.execute("human-monitor-command", {"command-line": line}))
        # QMP reports success here even for an unknown command: the error is in the output only.
        if output.startswith(_MONITOR_ERRORS):
            raise QemuError(f"QEMU could not run {line!r}: {output.strip()}")
        return output

    async def open_display(self) -> socket.socket:
        """Give QEMU one end of a socket for its D-Bus display; return the other.

        Raises:
            QemuError: QEMU has no such display, or has disconnected.
        """
        # QEMU gives the last received descriptor to the next command that wants one, so nothing may
        # come between the two.
        async with self._handing:
            ours, theirs = socket_pair()
            try:
                with theirs:
                    self._client.send_fd_scm(theirs.fileno())
                    await self.execute("getfd", {"fdname": "kju-display"})
                display = {"protocol": "@dbus-display", "fdname": "kju-display", "tls": False}
                await self.execute("add_client", display)
            except (QMPError, OSError) as error:
                ours.close()
                raise QemuError(f"QEMU's display could not be opened: {error}") from error
            except BaseException:
                ours.close()
                raise
            return ours

    async def lend(self, descriptor: int) -> int:
        """Give QEMU a descriptor; its commands open that as ``/dev/fdset/NUMBER``.

        Returns:
            The number, for `take_back`.

        Raises:
            QemuError: QEMU refused, did not answer in time, or has disconnected.
        """
        # As in `open_display`.
        async with self._handing:
            try:
                self._client.send_fd_scm(descriptor)
            except (QMPError, OSError) as error:
                raise QemuError(
                    f"a descriptor could not be sent to QEMU: {_one_line(error)}"
                ) from error
            return int((await self.execute("add-fd"))["fdset-id"])

    async def take_back(self, number: int) -> None:
        """Let QEMU close a descriptor that it was lent.

        Raises:
            QemuError: QEMU refused, did not answer in time, or has disconnected.
        """
        await self.execute("remove-fd", {"fdset-id": number})

    async def last_events(self) -> None:
        """Wait until QEMU has disconnected and all its events have been delivered."""
        await asyncio.shield(self.closed)
        while not (self._client.events.empty() or self._events.done()):
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Close the connection. Never raises: usually QEMU has closed it first."""
        self._events.cancel()
        self._closing.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self.closed)

    async def _wait_for_end(self) -> None:
        """Wait for the end of the connection, and record why; only this method disconnects."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._closing.wait())}
        if self._client.runstate.name == "RUNNING":
            waits.add(asyncio.ensure_future(self._client.runstate_changed()))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        reason = "closed by the host"
        try:
            await self._client.disconnect()
        except (EOFError, OSError):
            reason = DISCONNECTED
        except Exception as error:
            # Any error of qemu.qmp's reader: bad JSON, a line too long, nested too deeply.
            reason = f"QEMU sent invalid QMP ({type(error).__name__})"
        self.closed.set_result(reason)


def _returned(command: str, answer: Message) -> Any:  # noqa: ANN401
    """Return the value in QEMU's answer to a command.

    Raises:
        QemuError: QEMU answered with an error, or the answer is malformed.
    """
    if "return" in answer:
        return answer["return"]
    error = answer.get("error")
    reason = error.get("desc") if isinstance(error, dict) else answer
    raise QemuError(f"QEMU refused {command}: {' '.join(str(reason).split())[:300]}")


def _refused(command: str, error: Exception) -> QemuError:
    return QemuError(f"QEMU refused {command}: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    """Return an error in one line: qemu.qmp's show the received bytes, over several."""
    return " ".join(str(error).split())[:300]


async def _pass_on_events(client: QMPClient, on_event: OnEvent) -> None:
    async for event in client.events:
        data = event.get("data")
        name = str(event.get("event"))
        log.debug("QMP event %s %s", name, data)
        on_event(name, dict(data) if isinstance(data, dict) else {})
