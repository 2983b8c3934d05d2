"""SHELL: the limits of TCP connections to the web server, and the shares of those who have them.

A connection counts as *unauthenticated* until a request on it had a valid cookie or token. Those of
a proxy never do: it has limits of its own. There are `MAX_UNAUTHENTICATED` at most, and each has
`AUTHENTICATION_TIME`. If one more arrives, a random one is closed: if it were the oldest, a flood
would leave nobody time for a request. So silent connections and slow requests (slowloris) cost next
to nothing, and a page still loads. With TLS a connection counts from its first byte: asyncio's own
servers report it after the handshake only.

An authenticated connection counts for its holder's share (`CONNECTIONS`). A proxy's connection
counts for the holder of its newest request.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aiohttp import web

from .access_list import PROXY_USER, Principal

#: The most connections in all, and of these the most unauthenticated ones.
MAX_CONNECTIONS, MAX_UNAUTHENTICATED = 1024, 32
#: Seconds until an unauthenticated connection is closed.
AUTHENTICATION_TIME = 10.0


class Share(NamedTuple):
    """The most pages, or connections, that one holder may have.

    Attributes:
        what: Their name.
        of_session: The most of one session.
        of_user: The most of all sessions of a user.
        of_link: The most of all sessions of a link, which can be for many browsers.
    """

    what: str
    of_session: int
    of_user: int
    of_link: int

    def refusal(self, holder: Principal, present: Iterable[Principal]) -> str:
        """Return why one more is refused; empty if it is not.

        Args:
            holder: The holder of the new one.
            present: The holders of all others.
        """
        theirs = [each for each in present if each.owner == holder.owner]
        is_proxied = holder.id.startswith(PROXY_USER)  # a user whose browsers have one id
        own = 0 if is_proxied else sum(each.id == holder.id for each in theirs)
        most = self.of_link if holder.link else self.of_user
        if own >= self.of_session:
            return f"this session has {own} {self.what}, the most allowed: close some"
        if len(theirs) >= most:
            who = f"the link {holder.link}" if holder.link else f"the user {holder.owner}"
            return f"{who} has {len(theirs)} {self.what} in all sessions, the most allowed"
        return ""


#: The shares of one holder: a browser has a connection for each open page, and six for requests.
PAGES = Share("open pages", 16, 64, 128)
CONNECTIONS = Share("connections", 64, 256, 512)
#: A proxy keeps unused connections, which count for the holder of their last request.
_PROXIED = CONNECTIONS._replace(of_session=CONNECTIONS.of_user)


class Connections:
    """The open connections of one server.

    Args:
        is_of_proxy: Returns whether a connection is one of a proxy.
    """

    def __init__(
        self, is_of_proxy: Callable[[asyncio.BaseTransport], bool] = lambda transport: False
    ) -> None:
        self._is_of_proxy = is_of_proxy
        self._loop = asyncio.get_running_loop()
        self._unauthenticated: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        #: None: a connection of a proxy whose newest request has no holder.
        self._authenticated: dict[asyncio.BaseTransport, Principal | None] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """Count a new connection."""
        if len(self._authenticated) + len(self._unauthenticated) >= MAX_CONNECTIONS:
            transport.abort()
            return
        if self._is_of_proxy(transport):
            self._authenticated[transport] = None
            return
        if len(self._unauthenticated) >= MAX_UNAUTHENTICATED:
            self._close(secrets.choice(list(self._unauthenticated)))
        timer = self._loop.call_later(AUTHENTICATION_TIME, self._close, transport)
        self._unauthenticated[transport] = timer

    def authenticate(self, transport: asyncio.BaseTransport | None, holder: Principal) -> str:
        """Count a connection for a holder from now on, unless there are too many.

        Returns:
            Why it is refused; empty if it is not.
        """
        if transport is None:
            return ""
        present = self._authenticated.get(transport)
        if present is not None and present.id == holder.id:
            return ""
        share = _PROXIED if self._is_of_proxy(transport) else CONNECTIONS
        others = [each for each in self._authenticated.values() if each is not None]
        if reason := share.refusal(holder, others):
            return reason
        if timer := self._unauthenticated.pop(transport, None):
            timer.cancel()
        elif transport not in self._authenticated:
            return ""  # it has ended
        self._authenticated[transport] = holder
        return ""

    def release(self, transport: asyncio.BaseTransport) -> None:
        """Count a proxy's connection for nobody: its newest request has no holder."""
        if transport in self._authenticated and self._is_of_proxy(transport):
            self._authenticated[transport] = None

    def prolong(self, transport: asyncio.BaseTransport | None, seconds: float) -> None:
        """Give an unauthenticated connection this time from now: its login is being checked."""
        if transport is not None and (timer := self._unauthenticated.pop(transport, None)):
            timer.cancel()
            timer = self._loop.call_later(seconds, self._close, transport)
            self._unauthenticated[transport] = timer

    def remove(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection no more."""
        if timer := self._unauthenticated.pop(transport, None):
            timer.cancel()
        self._authenticated.pop(transport, None)

    def _close(self, transport: Any) -> None:  # noqa: ANN401  asyncio's transports
        self.remove(transport)
        transport.abort()

    def close(self) -> None:
        """Close the unauthenticated connections: the server has ended."""
        for transport in list(self._unauthenticated):
            self._close(transport)

    @property
    def count(self) -> tuple[int, int]:
        """The numbers of unauthenticated and of authenticated connections."""
        return len(self._unauthenticated), len(self._authenticated)


class LimitedHandler(web.RequestHandler):
    """aiohttp's handler of one connection, which is counted."""

    __slots__ = ("_connections",)

    def __init__(self, connections: Connections, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._connections.add(transport)  # type: ignore[arg-type]  # a socket's has all methods

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        if self.transport is not None:
            self._connections.remove(self.transport)
        super().connection_lost(exc)


class TlsHandshake(asyncio.Protocol):
    """A connection until the end of its TLS handshake, which is counted from its beginning.

    Args:
        connections: Counts it.
        context: The server's certificate.
        handler: Makes the handler of the decrypted connection.
    """

    def __init__(
        self,
        connections: Connections,
        context: ssl.SSLContext,
        handler: Callable[[], LimitedHandler],
    ) -> None:
        self._connections, self._context, self._handler = connections, context, handler
        self._early = bytearray()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and begin the handshake."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"{transport} is not that of a socket")
        # Bytes that are read before `start_tls`, which resumes it, would be lost.
        transport.pause_reading()
        self._connections.add(transport)
        self._task = asyncio.create_task(self._shake_hands(transport))

    def data_received(self, data: bytes) -> None:
        """Take a request that arrives with the last message of the handshake."""
        self._early += data

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        try:
            if transport.is_closing():
                return  # there were too many
            secured = await asyncio.get_running_loop().start_tls(
                transport, self, self._context, server_side=True,
                ssl_handshake_timeout=AUTHENTICATION_TIME,
            )  # fmt: skip
        except OSError:
            return  # it speaks no TLS, or has ended; asyncio has closed it
        finally:
            self._connections.remove(transport)
        if secured is not None and not secured.is_closing():
            handler = self._handler()
            secured.set_protocol(handler)
            handler.connection_made(secured)
            if self._early:
                handler.data_received(bytes(self._early))


def limited(
    server: web.Server,
    connections: Connections,
    logger: logging.Logger,
    context: ssl.SSLContext | None,
) -> Callable[[], asyncio.Protocol]:
    """Return the factory of a server's handlers, whose connections are counted.

    Args:
        server: aiohttp's server.
        connections: Counts them.
        logger: Gets aiohttp's own messages, which may quote parts of an invalid request.
        context: The certificate; None without TLS.
    """
    loop = asyncio.get_running_loop()

    def handler() -> LimitedHandler:
        return LimitedHandler(
            connections, server, loop=loop, keepalive_timeout=60.0, access_log=None, logger=logger
        )

    return handler if context is None else lambda: TlsHandshake(connections, context, handler)
