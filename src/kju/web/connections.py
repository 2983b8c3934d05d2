"""SHELL: the limits of TCP connections to the web server, before and after the authentication.

A connection counts as *unauthenticated* until a request on it had a valid cookie or token. Those of
a proxy never do: it has limits of its own. There are `MAX_UNAUTHENTICATED` at most, and each has
`AUTHENTICATION_TIME`. If one more arrives, a random one is closed: if it were the oldest, a flood
would leave nobody time for a request. So silent connections and slow requests (slowloris) cost next
to nothing, and a page still loads.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

#: The most connections in all, and of these the most unauthenticated ones.
MAX_CONNECTIONS, MAX_UNAUTHENTICATED = 1024, 32
#: Seconds until an unauthenticated connection is closed.
AUTHENTICATION_TIME = 10.0


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
        self._authenticated: set[asyncio.BaseTransport] = set()

    def add(self, transport: asyncio.Transport) -> None:
        """Count a new connection."""
        if len(self._authenticated) + len(self._unauthenticated) >= MAX_CONNECTIONS:
            transport.abort()
            return
        if self._is_of_proxy(transport):
            self._authenticated.add(transport)
            return
        if len(self._unauthenticated) >= MAX_UNAUTHENTICATED:
            self._close(secrets.choice(list(self._unauthenticated)))
        timer = self._loop.call_later(AUTHENTICATION_TIME, self._close, transport)
        self._unauthenticated[transport] = timer

    def authenticate(self, transport: asyncio.BaseTransport | None) -> None:
        """Count a connection as authenticated from now on."""
        if transport is not None and (timer := self._unauthenticated.pop(transport, None)):
            timer.cancel()
            self._authenticated.add(transport)

    def remove(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection no more."""
        if timer := self._unauthenticated.pop(transport, None):
            timer.cancel()
        self._authenticated.discard(transport)

    def _close(self, transport: Any) -> None:  # noqa: ANN401  asyncio's transports
        self.remove(transport)
        transport.abort()

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


def limited(
    server: web.Server, connections: Connections, logger: logging.Logger
) -> Callable[[], LimitedHandler]:
    """Return the factory of a server's handlers, whose connections are counted.

    Args:
        server: aiohttp's server.
        connections: Counts them.
        logger: Gets aiohttp's own messages, which may quote parts of an invalid request.
    """
    loop = asyncio.get_running_loop()
    return lambda: LimitedHandler(
        connections, server, loop=loop, keepalive_timeout=60.0, access_log=None, logger=logger
    )
