"""SHELL: the holder of each request: by its cookie, or by the header of a proxy; and logins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

import msgspec
from aiohttp import web

from ..errors import UsageError
from . import attempts
from .access import (
    SECRET_BYTES,
    SECRET_LENGTH,
    SESSION_LIFETIME,
    Access,
    AccessError,
    WrongPasswordError,
)
from .access_list import Principal, hash_of
from .attempts import TooManyError, Turns, WrongKeys, WrongPasswords
from .connections import AUTHENTICATION_TIME, Connections
from .proxy import Proxy
from .rules import AllowedHosts

log = logging.getLogger(__name__)

#: Seconds for the check of a password, whose turn may be behind those of others.
PASSWORD_TIME = 60.0

#: Seconds for which a ticket is valid, and the most valid ones.
TICKET_TIME, MAX_TICKETS = 10.0, 256

_Body = TypeVar("_Body", bound=msgspec.Struct)


class Login(msgspec.Struct):
    """The body of a login: the key of a link, or a user and a password.

    Attributes:
        key: The key.
        user: The user.
        password: The password.
        cookie: Set a cookie; else the token of the session is in the answer.
        ticket: With a cookie, the answer has a token too: for one socket, and `TICKET_TIME`.
    """

    key: str = ""
    user: str = ""
    password: str = ""
    cookie: bool = True
    ticket: bool = False


class Tickets:
    """Tokens of sessions with a cookie, each for one socket.

    A page connects its socket while its login is under way, so the socket has no cookie yet.
    """

    def __init__(self) -> None:
        self._valid: dict[str, tuple[str, float]] = {}

    def make(self, session: str, now: float) -> str:
        """Return a new ticket of a session, by its id."""
        self._valid = {k: v for k, v in self._valid.items() if v[1] > now}
        while len(self._valid) >= MAX_TICKETS:
            del self._valid[next(iter(self._valid))]
        ticket = secrets.token_urlsafe(SECRET_BYTES)
        self._valid[hash_of(ticket)] = session, now + TICKET_TIME
        return ticket

    def take(self, ticket: str, now: float) -> str:
        """Use a ticket; return its session, or an empty text for a ticket that is not valid."""
        session, until = self._valid.pop(hash_of(ticket), ("", 0.0))
        return session if now < until else ""


class Sessions:
    """The sessions of the requests of one server.

    Args:
        access: The links, users and sessions.
        proxy: The proxy in front of the server; None without one.
        in_use: Returns the ids of the sessions with an open page.

    Attributes:
        own: The hosts of the server itself.
        connections: Counts the connections; None before the server listens.
    """

    def __init__(
        self,
        access: Access,
        proxy: Proxy | None,
        in_use: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._access, self._proxy, self._in_use = access, proxy, in_use
        access.proxy_role = proxy.role if proxy else None
        self.own = AllowedHosts((), 0, secure=False)
        self._behind = AllowedHosts.behind(proxy.public) if proxy else self.own
        self.connections: Connections | None = None
        self._wrong_keys, self._wrong_passwords = WrongKeys(), WrongPasswords()
        self._turns = Turns()
        self._tickets = Tickets()

    def proxy_of(self, request: web.Request) -> Proxy | None:
        """Return the proxy that has sent a request; None for another sender."""
        is_proxy = self._proxy is not None and is_of_proxy(request.transport, self._proxy)
        return self._proxy if is_proxy else None

    def hosts_of(self, request: web.Request) -> AllowedHosts:
        """Return the hosts that a request may name."""
        return self._behind if self.proxy_of(request) else self.own

    def find(self, request: web.Request) -> Principal | None:
        """Return the holder of a request, and count its connection as authenticated.

        Raises:
            ProxyError: The proxy has named several users, or no valid one.
            TooManyError: The holder has too many connections.
        """
        found, name = None, self.named_by_proxy(request)
        if name:
            found = self._access.of_proxy_user(name)
        else:
            found = self._access.find(request.cookies.get(self.hosts_of(request).cookie, ""))
        if found is not None:
            self._authenticate(request, found)
        elif self.connections is not None and request.transport is not None:
            self.connections.release(request.transport)
        return found

    def named_by_proxy(self, request: web.Request) -> str:
        """Return the user whom the proxy has named; empty for none.

        Raises:
            ProxyError: It has named several, or no valid one.
        """
        proxy = self.proxy_of(request)
        return proxy.user(request.headers) if proxy else ""

    def find_token(self, token: str, request: web.Request) -> Principal | None:
        """Return the holder of a token that a page has sent.

        Raises:
            ProxyError: The proxy has named several users, or no valid one.
            TooManyError: The holder has too many connections.
        """
        if session := self._tickets.take(token, time.monotonic()):
            # A ticket counts as the cookie does: less than the name of a proxy.
            name = self.named_by_proxy(request)
            found = self._access.of_proxy_user(name) if name else self._access.get(session)
        else:
            found = self._access.find(token)
        if found is not None:
            self._authenticate(request, found)
        elif self._wrong_keys.count(self._client(request), time.monotonic()):
            log.warning("too many wrong tokens from %s", self._client(request))
        return found

    def _authenticate(self, request: web.Request, principal: Principal) -> None:
        """Count a connection for its holder.

        Raises:
            TooManyError: The holder has too many.
        """
        if self.connections is None:
            return
        if reason := self.connections.authenticate(request.transport, principal):
            raise TooManyError(reason)

    def _client(self, request: web.Request) -> str:
        address, proxy = request.remote or "", self.proxy_of(request)
        return proxy.client(request.headers, address) if proxy else address

    # ---- requests ----

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Answer a login."""
        body = await _body(request, Login)
        if body is None:
            return error_response(400, "the body is not a JSON object with a key or a password")
        try:
            if body.user:
                principal, token = await self._with_password(request, body)
            else:
                principal, token = await self._with_key(request, body)
        except TooManyError as error:
            return error_response(429, str(error))
        except AccessError as error:
            return error_response(401, str(error))
        how = "a password" if body.user else "a link"
        log.info("session %s (%s) began with %s", principal.title, principal.role, how)
        with contextlib.suppress(TooManyError):  # the next request is refused
            self._authenticate(request, principal)
        if not body.cookie:
            return web.json_response({"token": token})
        response, hosts = web.Response(status=204), self.hosts_of(request)
        if body.ticket:
            ticket = self._tickets.make(principal.id, time.monotonic())
            response = web.json_response({"token": ticket})
        response.set_cookie(
            hosts.cookie, token, max_age=int(SESSION_LIFETIME), path="/", httponly=True,
            secure=hosts.secure, samesite="Strict",
        )  # fmt: skip
        return response

    async def _with_key(self, request: web.Request, body: Login) -> tuple[Principal, str]:
        key = body.key if len(body.key) == SECRET_LENGTH else ""
        try:
            return await asyncio.to_thread(self._access.exchange, key, self._in_use())
        except AccessError:
            if self._wrong_keys.count(self._client(request), time.monotonic()):
                raise TooManyError("too many wrong keys: wait a minute") from None
            raise

    async def _with_password(self, request: web.Request, body: Login) -> tuple[Principal, str]:
        made: list[tuple[Principal, str]] = []
        refused: list[AccessError] = []
        in_use = self._in_use()

        def check() -> bool:
            try:
                made.append(self._access.log_in(body.user, body.password, in_use))
            except AccessError as error:
                refused.append(error)
                return not isinstance(error, WrongPasswordError)
            return True

        # Names that no user can have are counted together, and cost as much.
        sender = self._client(request), body.user[:64]
        with self._prolonged(request):
            await attempts.check_in_turn(
                self._turns, self._wrong_passwords, sender, check, time.monotonic
            )
        if refused:
            raise refused[0]
        return made[0]

    @contextlib.contextmanager
    def _prolonged(self, request: web.Request) -> Iterator[None]:
        """Keep a connection without a session for `PASSWORD_TIME` while its password is checked."""
        if (connections := self.connections) is None:
            yield
            return
        connections.prolong(request.transport, PASSWORD_TIME)
        try:
            yield
        finally:
            connections.prolong(request.transport, AUTHENTICATION_TIME)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """Answer the end of a session."""
        principal, hosts = self.find(request), self.hosts_of(request)
        if principal is not None:
            with contextlib.suppress(UsageError):  # it was revoked at this moment
                await asyncio.to_thread(self._access.revoke, [principal.id])
        response = web.Response(status=204)
        response.del_cookie(
            hosts.cookie, path="/", httponly=True, secure=hosts.secure, samesite="Strict"
        )
        return response

    def describe(self, request: web.Request, build: str) -> web.StreamResponse:
        """Answer the question who the holder is.

        Args:
            request: The request.
            build: The version of the page's files.
        """
        principal = self.find(request)
        if principal is None:
            name = self.named_by_proxy(request)
            text = "no session: open a link from kju web link NAME"
            if name:
                text = f"{name} may not use this server: kju web user {name} --role view"
            found = {"error": text, "passwords": self._access.has_passwords, "user": name}
            return web.json_response(found, status=401)
        return web.json_response(
            {
                "user": principal.title,
                "role": principal.role,
                "machines": sorted(principal.machines),
                "expires": principal.expires,
                "build": build,
            }
        )


def is_of_proxy(transport: asyncio.BaseTransport | None, proxy: Proxy) -> bool:
    """Return whether a connection is one of a proxy."""
    if transport is None:
        return False
    sock, peer = transport.get_extra_info("socket"), transport.get_extra_info("peername")
    if sock is not None and sock.family == socket.AF_UNIX:
        return True
    # None: the client has disconnected already.
    return peer is not None and proxy.is_peer(peer[0])


def error_response(status: int, text: str) -> web.Response:
    """Return the answer to a request that has failed."""
    return web.json_response({"error": text}, status=status)


async def _body(request: web.Request, kind: type[_Body]) -> _Body | None:
    """Return the body of a request; None if it is not valid."""
    if request.content_type != "application/json":
        return None
    try:
        async with asyncio.timeout(AUTHENTICATION_TIME):
            return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TimeoutError):
        return None
