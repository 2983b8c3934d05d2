"""The main connection to QEMU's D-Bus display, peer to peer: calls with answers, signals.

This side is the client in the authentication. A peer-to-peer connection has no names and no Hello.
QEMU answers calls in any order; answers are matched by serial. Unanswered calls, unsent bytes and
the size of a message are bounded.

Source:
    org.qemu.Display1.VM, .Console, .Keyboard and .Mouse (dbus-display1.xml of QEMU's manual).
"""

from __future__ import annotations

import array
import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from jeepney import auth

from ....errors import KjuError, MachineGoneError, PeerError, QemuError, WaitTimeoutError
from ....files import lost_descriptors
from ....memory.shared import Descriptor
from ....sources.display1 import messages
from ....sources.display1.frames import MAX_FDS, Received, RejectedMessage, Splitter
from ....sources.display1.source import FLAGS, received_fds

log = logging.getLogger(__name__)

#: Seconds for QEMU to answer. Its main loop answers in under 2 ms; 960 ms were measured while a
#: listener delayed its answer to a call.
TIMEOUT = 5.0
#: The largest number of calls without an answer.
_MAX_CALLS = 256
#: The size of a message in bytes; the largest answer, GetAll of a console, has under 1 KiB.
MAX_MESSAGE = 1 << 20
#: The number of characters that are kept of a label or an address; QEMU's have under twenty.
MAX_TEXT = 256


#: Called with an object's path, an interface and the changed values of its properties.
OnProperties = Callable[[str, str, dict[str, Any]], object]


class ConsoleProperties(NamedTuple):
    """The properties of one console, from QEMU.

    Attributes:
        number: The N of its object Console_N.
        label: A text for humans.
        head: Its index among the heads of its device.
        kind: ``Graphic`` or ``Text``.
        width: The width in pixels.
        height: The height in pixels.
        device_address: For example ``pci/0000/02.0``; empty without a device.
        interfaces: The further interfaces of the console's object.
    """

    number: int
    label: str
    head: int
    kind: str
    width: int
    height: int
    device_address: str
    interfaces: tuple[str, ...]


class DisplayBus:
    """One peer-to-peer connection; use it from one event loop.

    If `connect` fails, the socket is closed. When QEMU disconnects or violates the protocol, every
    pending and later call raises, and `closed` is set.

    Attributes:
        closed: Done once the connection has ended; its result is the reason.
    """

    def __init__(self, sock: socket.socket, on_properties: OnProperties) -> None:
        """Use `connect` instead."""
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._splitter = Splitter(MAX_MESSAGE)
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[Received]] = {}
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._on_properties = on_properties

    @classmethod
    async def connect(
        cls,
        sock: socket.socket,
        on_properties: OnProperties = lambda path, interface, values: None,
        timeout: float = TIMEOUT,
    ) -> Self:
        """Authenticate on a socket whose other end QEMU has been given (QMP add_client).

        Args:
            sock: The socket.
            on_properties: Called with the object's path, interface and changed values whenever
                QEMU announces new properties, such as a console's Width and Height.
            timeout: Seconds for the authentication.

        Raises:
            PeerError: QEMU refuses, or disconnects.
            WaitTimeoutError: QEMU does not answer.
        """
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout):
                await _authenticate(sock)
        except TimeoutError as error:
            sock.close()
            raise WaitTimeoutError(f"QEMU's display did not answer in {timeout:g} s") from error
        except BaseException:
            sock.close()
            raise
        bus = cls(sock, on_properties)
        bus._loop.add_reader(sock, bus._readable)
        return bus

    def close(self, reason: str = "closed by the host") -> None:
        """Disconnect; pending calls raise."""
        if self.closed.done():
            return
        self.closed.set_result(reason)
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._unsent.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(MachineGoneError(f"QEMU's display connection: {reason}"))
        self._waiting.clear()

    async def call(self, message: messages.Message, timeout: float = TIMEOUT) -> tuple[Any, ...]:
        """Send a call from `kju.sources.display1.messages`; return the body of its answer.

        The message's descriptors may be closed after that.

        Raises:
            QemuError: QEMU answered with an error.
            MachineGoneError: The connection has ended.
            WaitTimeoutError: No answer arrived in time.
        """
        if self.closed.done():
            raise MachineGoneError(f"QEMU's display connection: {self.closed.result()}")
        if len(self._waiting) >= _MAX_CALLS:
            raise WaitTimeoutError(f"{_MAX_CALLS} calls already wait for QEMU's answer")
        self._serial = self._serial % 0xFFFFFFFF + 1
        serial = self._serial
        future: asyncio.Future[Received] = self._loop.create_future()
        self._waiting[serial] = future
        try:
            data, fds = messages.serialise(message, serial)
            self._unsent.append((memoryview(data), fds))
            self._writable()
            async with asyncio.timeout(timeout):
                answer = await future
        except TimeoutError as error:
            raise WaitTimeoutError(f"QEMU did not answer in {timeout:g} s") from error
        finally:
            self._waiting.pop(serial, None)
        if answer.kind == 3:
            text = answer.body[0] if answer.body else ""
            raise QemuError(f"QEMU refused: {answer.error_name}: {text}"[:500])
        return answer.body

    # -- calls

    async def console_ids(self) -> list[int]:
        """Return the numbers of the consoles."""
        return [int(i) for i in await self._property(messages.console_ids(), "au")]

    async def console(self, index: int) -> ConsoleProperties:
        """Read one console's properties."""
        path = messages.console_path(index)
        (values,) = await self.call(messages.get_properties(path, messages.CONSOLE))
        return ConsoleProperties(
            index,
            _value(values, "Label", "s", "")[:MAX_TEXT],
            _value(values, "Head", "u", 0),
            _value(values, "Type", "s", "Graphic"),
            _value(values, "Width", "u", 0),
            _value(values, "Height", "u", 0),
            _value(values, "DeviceAddress", "s", "")[:MAX_TEXT],
            tuple(_value(values, "Interfaces", "as", [])),
        )

    async def register_listener(self, console: int, sock: socket.socket) -> None:
        """Give QEMU one end of a pair whose other end is served already; close *sock*."""
        with sock:
            await self.call(messages.register_listener(console, sock.fileno()))

    async def set_ui_info(self, console: int, width: int, height: int) -> None:
        """Ask the guest for a size; the guest decides.

        Raises:
            QemuError: The display passes no size on to its guest.
        """
        await self.call(messages.set_ui_info(console, width, height))

    async def takes_size(self, console: int) -> bool:
        """Return whether a console passes a size on to its guest; call it before `set_ui_info`.

        QEMU refuses a size for other displays. It ignores one that equals the last one, and the
        first one is 0x0 (dpy_set_ui_info in ui/console.c), so this does not change anything.
        """
        try:
            await self.set_ui_info(console, 0, 0)
        except QemuError:
            return False
        return True

    async def key(self, console: int, keycode: int, pressed: bool) -> None:
        """Press or release a key, by QEMU key number."""
        await self.call(messages.key(console, keycode, pressed))

    async def is_absolute(self, console: int) -> bool:
        """Return whether the guest's pointer takes positions now, rather than motions."""
        path = messages.console_path(console)
        asked = messages.get_property(path, messages.MOUSE, "IsAbsolute")
        return bool(await self._property(asked, "b"))

    async def lamps(self, console: int) -> int:
        """Return the lamps of the guest's keyboard: 1 scroll, 2 num, 4 caps."""
        path = messages.console_path(console)
        asked = messages.get_property(path, messages.KEYBOARD, "Modifiers")
        return int(await self._property(asked, "u"))

    async def _property(self, message: messages.Message, signature: str) -> Any:  # noqa: ANN401
        body = await self.call(message)
        found, value = body[0] if body and isinstance(body[0], tuple) else ("", None)
        if found != signature:
            raise PeerError(f"a property of type {found!r}, expected {signature!r}", body)
        return value

    # -- the socket

    def _readable(self) -> None:
        try:
            count, ancillary, flags, _ = self._sock.recvmsg_into(
                [self._splitter.get_buffer()], socket.CMSG_SPACE(4 * MAX_FDS), FLAGS
            )
            fds = [Descriptor(fd) for fd in received_fds(ancillary)]
            if flags & socket.MSG_CTRUNC:
                many = PeerError(f"QEMU sent more than {MAX_FDS} descriptors at once")
                raise lost_descriptors() or many
            if not count:
                self.close("QEMU has disconnected")
                return
            for message in self._splitter.received(count, fds):
                self._receive(message)
        except (BlockingIOError, InterruptedError):
            return
        except (KjuError, OSError) as error:
            log.warning("QEMU's display connection has ended: %s", error)
            self.close(str(error))

    def _receive(self, message: Received | RejectedMessage) -> None:
        if isinstance(message, RejectedMessage):
            log.warning("a message of QEMU's display was rejected: %s", message.error)
            header = message.message
            future = self._waiting.get(header.reply_serial) if header else None
            if future is not None and not future.done():
                future.set_exception(message.error)
        elif message.kind in (2, 3):
            future = self._waiting.get(message.reply_serial)
            if future is not None and not future.done():
                future.set_result(message)
        elif message.member == "PropertiesChanged" and message.signature == "sa{sv}as":
            interface, changed, _ = message.body
            values = {name: value for name, (_, value) in changed.items()}
            self._on_properties(message.path, interface, values)
        elif message.wants_reply:
            self._serial = self._serial % 0xFFFFFFFF + 1
            name = "org.freedesktop.DBus.Error.UnknownMethod"
            data = messages.error(message.serial, self._serial, name, "nothing is served here")
            self._unsent.append((memoryview(data), []))
            self._writable()

    def _writable(self) -> None:
        """Send queued bytes until the socket is full."""
        try:
            while self._unsent:
                data, fds = self._unsent[0]
                rights = array.array("i", fds)
                control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if fds else []
                sent = self._sock.sendmsg([data], control, socket.MSG_NOSIGNAL)
                # Descriptors are sent with the first byte, so a rest is sent without them.
                if sent < len(data):
                    self._unsent[0] = (data[sent:], [])
                else:
                    self._unsent.popleft()
        except (BlockingIOError, InterruptedError):
            if len(self._unsent) > _MAX_CALLS:
                self.close("QEMU does not read its display connection")
            else:
                self._loop.add_writer(self._sock, self._writable)
            return
        except OSError as error:
            self.close(str(error))
            return
        self._loop.remove_writer(self._sock)


async def _authenticate(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    talk = auth.Authenticator(enable_fds=True)
    try:
        for line in talk:
            if line:
                await loop.sock_sendall(sock, line)
            data = await loop.sock_recv(sock, 1024)
            if not data:
                raise PeerError("QEMU disconnected during the authentication")
            talk.feed(data)
    except auth.AuthenticationError as error:
        text = f"QEMU refused the display connection: {error}"[:300]
        raise PeerError(text, error.data) from error
    except ConnectionError as error:
        raise PeerError(f"QEMU disconnected during the authentication: {error}") from error
    await loop.sock_sendall(sock, auth.BEGIN)


def _value(values: dict[str, Any], name: str, signature: str, default: Any) -> Any:  # noqa: ANN401
    """Return a property, or *default* if it is missing; another type is an error."""
    found, value = values.get(name, (signature, default))
    if found != signature:
        raise PeerError(f"property {name} has type {found!r}, expected {signature!r}", value)
    return value
