"""SHELL: one app for each display: a second start raises the first one's window.

The first app listens on a socket in the runtime folder, which only this user can open. A later one
sends it a request and ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ..errors import KjuError
from ..files import Folder
from ..store.paths import runtime_folder
from ..store.running import reachable

#: Seconds for the first app to answer; a stopped one is not waited for.
_ANSWER_SECONDS = 3.0
#: Bytes of a request.
_MAX_REQUEST = 64 << 10
_ANSWER = b"ok\n"


class OpenRequest(Struct, frozen=True):
    """Request to the running app: show the main window, and open these machines.

    Attributes:
        names: Names of machines.
    """

    names: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=256)] = []


def _socket_name() -> str:
    """Return the name of the socket's file: another one for each display."""
    display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or ""
    return f".desktop-{hashlib.sha256(display.encode()).hexdigest()[:12]}"


def send_to_first(request: OpenRequest) -> bool:
    """Send a request to the app that runs on this display; return False if there is none."""
    path = runtime_folder(create=False) / _socket_name()
    with (
        contextlib.suppress(OSError, KjuError),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.settimeout(_ANSWER_SECONDS)
        with reachable(path) as address:
            sock.connect(address)
        sock.sendall(msgspec.json.encode(request) + b"\n")
        return sock.recv(len(_ANSWER)) == _ANSWER
    return False


class FirstInstance:
    """The app that listens for later ones.

    Args:
        opened: Takes each request, on this object's thread.
    """

    def __init__(self, opened: Callable[[OpenRequest], None]) -> None:
        self._opened = opened
        self._name = _socket_name()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with Folder.open(runtime_folder()) as folder:
                folder.listen(self._listener, self._name, 8)
        except BaseException:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._accept, name="kju-desktop", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(_ANSWER_SECONDS)
                data = b""
                while not data.endswith(b"\n") and len(data) < _MAX_REQUEST:
                    if not (part := connection.recv(4096)):
                        break
                    data += part
                request = msgspec.json.decode(data, type=OpenRequest)
                self._opened(request)
                connection.sendall(_ANSWER)

    def close(self) -> None:
        """Stop listening, and remove the socket's file."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._listener.close()
        self._thread.join(_ANSWER_SECONDS)
        with (
            contextlib.suppress(KjuError, OSError),
            Folder.open(runtime_folder(create=False)) as folder,
        ):
            folder.remove(self._name)
