"""SHELL: the address and the listening socket of the web server."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..files import Folder, check_unused
from .proxy import Proxy
from .rules import AllowedHosts
from .tls import ServerCertificate

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_ANY = ("0.0.0.0", "::")  # noqa: S104
_BACKLOG = 256
#: The permissions of a Unix socket's file: those of its folder decide who reaches it.
_SOCKET_MODE = 0o660


class WebOptions(NamedTuple):
    """The address, certificate and names of a server.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any free one.
        certificate: The certificate; None for plain HTTP, on loopback or a Unix socket only.
        names: More host names under which browsers reach the server.
        embedders: Origins whose pages may embed the page.
        path: The path of a Unix socket to listen on, in place of `host` and `port`.
        proxy: The reverse proxy in front of the server; None without one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: ServerCertificate | None = None
    names: tuple[str, ...] | list[str] = ()
    embedders: tuple[str, ...] | list[str] = ()
    path: Path | None = None
    proxy: Proxy | None = None

    def check(self) -> None:
        """Check that other computers are served over TLS only.

        Raises:
            UsageError: They would not be, or only a proxy reaches the server and none is named.
        """
        if self.path is not None:
            if self.proxy is None:
                raise UsageError(
                    "only a proxy reaches a Unix socket: give its address in browsers with --url"
                )
        elif self.certificate is None and self.host not in _LOOPBACK_NAMES:
            raise UsageError(
                f"other computers reach {self.host}, which needs TLS: make a certificate with"
                " kju cert web HOST, or give --certificate FILE --key FILE"
            )

    @property
    def is_secure(self) -> bool:
        """True with TLS."""
        return self.certificate is not None

    def hosts(self, port: int) -> AllowedHosts:
        """Return the hosts under which browsers reach the server itself."""
        certified = self.certificate.names if self.certificate else ()
        names = {self.host, *self.names, *certified}
        if self.host in (*_LOOPBACK_NAMES, *_ANY):
            names |= {*_LOOPBACK_NAMES}
        return AllowedHosts(names, port, secure=self.is_secure)

    def url(self, port: int) -> str:
        """Return the address of the page in browsers."""
        if self.proxy is not None:
            return self.proxy.public.url
        shown = self.host
        if shown in _ANY:
            certified = self.certificate.names if self.certificate else frozenset()
            named = sorted(certified - {*_LOOPBACK_NAMES})
            shown = (*self.names, *named, "localhost")[0]
        shown = f"[{shown}]" if ":" in shown else shown
        return f"{'https' if self.is_secure else 'http'}://{shown}:{port}/"


@contextlib.contextmanager
def listening(options: WebOptions) -> Iterator[socket.socket]:
    """Listen while the block runs.

    Raises:
        UsageError: The address is in use, or is not one of this computer.
        FileError: The file of a Unix socket cannot be made.
    """
    if options.path is not None:
        with _listening_at(options.path) as sock:
            yield sock
        return
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {options.host}:{options.port}: {error.strerror or error}; choose"
            " another address with --listen HOST:PORT (port 0 is any free one)"
        ) from error
    sock.setblocking(False)
    with sock:
        yield sock


@contextlib.contextmanager
def _listening_at(path: Path) -> Iterator[socket.socket]:
    with Folder.open(path.parent) as folder:
        check_unused(folder, path.name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            folder.listen(sock, path.name, _BACKLOG, _SOCKET_MODE)
            sock.setblocking(False)
            try:
                yield sock
            finally:
                folder.remove(path.name)
