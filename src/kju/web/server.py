"""SHELL: the HTTP server of `kju web`: pages, links, sessions and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from aiohttp import WSMsgType, web

from ..errors import KjuError, PeerError, UsageError
from ..wire.messages import Goodbye
from . import messages, rules
from .access import SECRET_LENGTH, SESSION_LIFETIME, Access, AccessError, Principal
from .assets import INDEX, MISSING, Assets
from .connections import AUTHENTICATION_TIME, Connections, limited
from .messages import MAX_FRAME, SUBPROTOCOL, Authenticate
from .page_socket import ENDED, TRY_LATER, PageSocket
from .site import Site
from .tls import ServerCertificate

log = logging.getLogger(__name__)

#: Seconds between two looks at the files of the certificate.
TICK = 1.0
#: Seconds for the first message of a socket without a cookie. The connection is aborted after
#: `AUTHENTICATION_TIME`; the goodbye must be sent before, or the page would only connect again.
FIRST_MESSAGE_TIME = AUTHENTICATION_TIME / 2
#: The most bytes of a request's body.
MAX_BODY = 4096
#: Wrong keys in a minute, from one address and from all. More are answered by status 429.
MAX_WRONG, MAX_WRONG_IN_ALL, WRONG_TIME = 10, 100, 60.0
#: Seconds between two pings of a WebSocket; one without a pong in half of it is closed.
HEARTBEAT = 15.0
#: Of a file whose URL has its version.
KEEP_FOR_EVER = "max-age=31536000, immutable"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class WebOptions(NamedTuple):
    """The address, certificate and names of a server.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any free one.
        certificate: The certificate; None for plain HTTP, on loopback only.
        names: More host names under which browsers reach the server.
        embedders: Origins whose pages may embed the page.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: ServerCertificate | None = None
    names: Sequence[str] = ()
    embedders: Sequence[str] = ()


class WebServer:
    """Serves machines to browsers.

    Args:
        names: The names of machines; none for all, including those that are started later.
        options: Its address, certificate and names.
        access: The links and sessions; by default this user's.
        assets: The files of the page.

    Attributes:
        site: The machines and sockets.
        url: The address of the page, once it serves; empty before.
        port: Its port.

    Raises:
        UsageError: It would serve other computers without TLS.
    """

    def __init__(
        self,
        names: Sequence[str],
        options: WebOptions,
        *,
        access: Access | None = None,
        assets: Assets | None = None,
    ) -> None:
        if options.certificate is None and options.host not in _LOOPBACK_NAMES:
            raise UsageError(
                f"other computers reach {options.host}, which needs TLS: make a certificate with"
                " kju cert web HOST, or give --certificate FILE --key FILE"
            )
        self._options = options
        self.site = Site(names, access or Access(), assets or Assets())
        self.url = ""
        self.port = options.port
        self._hosts = rules.AllowedHosts((), 0, secure=False)
        self._cookie = ""
        self._wrong = _WrongKeys()
        self._connections: Connections | None = None

    @property
    def is_secure(self) -> bool:
        """True with TLS."""
        return self._options.certificate is not None

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until this is cancelled.

        Raises:
            KjuError: A named machine is missing, or the address is in use.
        """
        with _listen(self._options) as sock:
            self._set_address(sock.getsockname()[1])
            try:
                await self.site.start()
                await self._serve(sock, ready)
            finally:
                await self.site.close()

    async def _serve(self, sock: socket.socket, ready: Callable[[], object]) -> None:
        runner = web.AppRunner(self._app(), handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        server = await self._open(runner, sock)
        running = asyncio.create_task(self.site.run())
        certificate = self._options.certificate
        try:
            ready()
            while not running.done():
                await asyncio.sleep(TICK)
                if certificate is not None and certificate.update():
                    self._set_address(self.port)
            running.result()
        finally:
            server.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.site.end_sockets()
            await runner.cleanup()

    async def _open(self, runner: web.AppRunner, sock: socket.socket) -> asyncio.Server:
        if runner.server is None:
            raise KjuError("aiohttp has no server")
        quiet = logging.getLogger(f"{__name__}.http")
        quiet.setLevel(logging.CRITICAL)  # its messages quote requests, which have secrets
        self._connections = Connections()
        factory = limited(runner.server, self._connections, quiet)
        certificate = self._options.certificate
        return await asyncio.get_running_loop().create_server(
            factory,
            sock=sock,
            ssl=certificate.context if certificate else None,
            ssl_handshake_timeout=AUTHENTICATION_TIME if certificate else None,
        )

    def _set_address(self, port: int) -> None:
        options, certificate = self._options, self._options.certificate
        self.port = port
        names = {options.host, *options.names, *(certificate.names if certificate else ())}
        if options.host in _LOOPBACK_NAMES or options.host in ("0.0.0.0", "::"):  # noqa: S104
            names |= {*_LOOPBACK_NAMES}
        self._hosts = rules.AllowedHosts(names, port, secure=self.is_secure)
        self._cookie = rules.cookie_name(port, secure=self.is_secure)
        shown = options.host
        if shown in ("0.0.0.0", "::"):  # noqa: S104
            named = sorted(certificate.names - {*_LOOPBACK_NAMES}) if certificate else []
            shown = (*options.names, *named, "localhost")[0]
        shown = f"[{shown}]" if ":" in shown else shown
        self.url = f"{'https' if self.is_secure else 'http'}://{shown}:{port}/"

    def link(self, key: str) -> str:
        """Return the URL of a link."""
        return f"{self.url}#{key}"

    # ---- requests ----

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        app.on_response_prepare.append(self._add_headers)
        app.router.add_post("/api/login", self._login)
        app.router.add_post("/api/logout", self._logout)
        app.router.add_get("/api/session", self._session)
        app.router.add_get("/socket", self._socket)
        app.router.add_get("/m/{machine}", self._page)
        app.router.add_get("/{path:.*}", self._file)
        return app

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(rules.headers(self._options.embedders))
        response.headers["Server"] = "kju"
        response.headers.setdefault("Cache-Control", "no-store")

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Check the host and origin of a request, and answer errors as JSON."""
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if not self._hosts.has(host):
            return _error(403, "this server has another name: add it with --host NAME")
        needs_origin = request.method not in ("GET", "HEAD") or request.path == "/socket"
        if needs_origin and not self._hosts.is_own_origin(origin, host):
            return _error(403, "the request is from another page")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _error(error.status, error.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except KjuError as error:
            log.warning("%s: %s", request.path, error)
            return _error(500, "a fault of the server: see its log")
        except Exception:
            log.exception("%s failed", request.path)
            return _error(500, "a fault of the server: see its log")

    def _principal(self, request: web.Request) -> Principal | None:
        """Return the holder of the request's cookie, and count its connection as authenticated."""
        found = self.site.access.find(request.cookies.get(self._cookie, ""))
        if found is not None and self._connections is not None:
            self._connections.authenticate(request.transport)
        return found

    async def _login(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request, _Login)
        if body is None:
            return _error(400, "the body is not a JSON object with a key")
        address = request.remote or ""
        try:
            principal, token = await asyncio.to_thread(self.site.access.exchange, body.key)
        except AccessError as error:
            if self._wrong.count(address, time.monotonic()):
                return _error(429, "too many wrong keys: wait a minute")
            return _error(401, str(error))
        log.info("session %s (%s) began with a link", principal.id, principal.role)
        if self._connections is not None:
            self._connections.authenticate(request.transport)
        if not body.cookie:
            return web.json_response({"token": token})
        response = web.Response(status=204)
        response.set_cookie(
            self._cookie, token, max_age=int(SESSION_LIFETIME), path="/", httponly=True,
            secure=self.is_secure, samesite="Strict",
        )  # fmt: skip
        return response

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        principal = self._principal(request)
        if principal is not None:
            with contextlib.suppress(UsageError):  # it was revoked at this moment
                await asyncio.to_thread(self.site.access.revoke, [principal.id])
        response = web.Response(status=204)
        response.del_cookie(
            self._cookie, path="/", httponly=True, secure=self.is_secure, samesite="Strict"
        )
        return response

    async def _session(self, request: web.Request) -> web.StreamResponse:
        principal = self._principal(request)
        if principal is None:
            return _error(401, "no session: open a link from kju web link NAME")
        return web.json_response(
            {
                "user": principal.id,
                "role": principal.role,
                "machines": sorted(principal.machines),
                "expires": principal.expires,
                "build": self.site.build,
            }
        )

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request, INDEX)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request, request.match_info["path"] or INDEX)

    def _asset(self, request: web.Request, name: str) -> web.StreamResponse:
        found = self.site.assets.find(name)
        if found is None:
            return _error(404, MISSING if name == INDEX else "no such file")
        self._principal(request)
        is_this_version = request.query_string == f"v={found.version}"
        caching = KEEP_FOR_EVER if is_this_version else "no-cache"
        kept = {"ETag": found.tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == found.tag:
            return web.Response(status=304, headers=kept)
        data = found.data
        if found.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
            data, kept["Content-Encoding"] = found.compressed, "gzip"
        return web.Response(body=data, headers={**kept, "Content-Type": found.type})

    # ---- WebSockets ----

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if SUBPROTOCOL not in [each.strip() for each in offered]:
            return _error(400, f"this server has the subprotocol {SUBPROTOCOL}: reload the page")
        principal = self._principal(request)
        ws = web.WebSocketResponse(
            protocols=[SUBPROTOCOL], compress=False, max_msg_size=MAX_FRAME, heartbeat=HEARTBEAT,
            timeout=2.0,
        )  # fmt: skip
        await ws.prepare(request)
        transport = request.transport
        if principal is None:
            principal = await self._authenticated(ws, request)
        if principal is None or transport is None:
            await _say_goodbye(ws, ENDED, "no session: open a link from kju web link NAME")
            return ws
        if reason := self.site.refusal(principal):
            await _say_goodbye(ws, TRY_LATER, reason)
            return ws
        await self.site.serve(PageSocket(ws, transport, principal, self.site))
        return ws

    async def _authenticated(
        self, ws: web.WebSocketResponse, request: web.Request
    ) -> Principal | None:
        """Return the holder of the token in the first message of a socket without a cookie."""
        try:
            first = await ws.receive(FIRST_MESSAGE_TIME)
            number, data = messages.split_frame(
                first.data if first.type is WSMsgType.BINARY else b""
            )
            message = messages.decode_from_page(data) if number == 0 else None
        except (PeerError, TimeoutError):
            return None
        if not isinstance(message, Authenticate):
            return None
        found = self.site.access.find(message.token)
        if found is not None and self._connections is not None:
            self._connections.authenticate(request.transport)
        elif self._wrong.count(request.remote or "", time.monotonic()):
            log.warning("too many wrong tokens from %s", request.remote)
        return found


class _Login(msgspec.Struct):
    """The body of a login.

    Attributes:
        key: The key of a link.
        cookie: Set a cookie; else the token is in the answer.
    """

    key: str
    cookie: bool = True


async def _body(request: web.Request, kind: type[_Login]) -> _Login | None:
    """Return the body of a request; None if it is not valid."""
    if request.content_type != "application/json":
        return None
    try:
        async with asyncio.timeout(AUTHENTICATION_TIME):
            body = msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TimeoutError):
        return None
    return body if len(body.key) == SECRET_LENGTH else msgspec.structs.replace(body, key="")


async def _say_goodbye(ws: web.WebSocketResponse, code: int, reason: str) -> None:
    """Close a socket with a reason."""
    with contextlib.suppress(ConnectionError):
        await ws.send_bytes(messages.encode(Goodbye(reason)))
        await ws.close(code=code, message=reason.encode()[:120])


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _listen(options: WebOptions) -> socket.socket:
    """Return a listening socket.

    Raises:
        UsageError: The address is in use, or is not one of this computer.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {options.host}:{options.port}: {error.strerror or error}; choose"
            " another address with --listen HOST:PORT (port 0 is any free one)"
        ) from error
    sock.setblocking(False)
    return sock


class _WrongKeys:
    """The wrong keys of the last minute."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, str]] = deque(maxlen=MAX_WRONG_IN_ALL + 1)

    def count(self, address: str, now: float) -> bool:
        """Count one more; return whether there are too many."""
        while self._all and self._all[0][0] < now - WRONG_TIME:
            self._all.popleft()
        self._all.append((now, address))
        theirs = sum(each == address for _, each in self._all)
        return theirs > MAX_WRONG or len(self._all) > MAX_WRONG_IN_ALL


@contextlib.asynccontextmanager
async def serving(server: WebServer) -> AsyncIterator[WebServer]:
    """Serve in the background of an ``async with``."""
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield server
    finally:
        waiting.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
