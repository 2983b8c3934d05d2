"""SHELL: the HTTP server of `kju web`: pages, links, sessions and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import WSMsgType, web

from ..errors import KjuError, PeerError
from ..wire.messages import Goodbye
from . import messages, rules
from .access import Access
from .access_list import Principal
from .assets import INDEX, MISSING, WITH_PATHS, Assets
from .attempts import TooManyError
from .connections import AUTHENTICATION_TIME, Connections, limited
from .listening import WebOptions, listening
from .messages import MAX_FRAME, SUBPROTOCOL, Authenticate
from .page_socket import ENDED, NO_SESSION, TRY_LATER, PageSocket
from .proxy import ProxyError
from .remote.gateway import FarComputer
from .sessions import Sessions, error_response, is_of_proxy
from .site import Site

log = logging.getLogger(__name__)

#: Seconds between two looks at the files of the certificate.
TICK = 1.0
#: Seconds for the first message of a socket without a cookie. The connection is aborted after
#: `AUTHENTICATION_TIME`; the goodbye must be sent before, or the page would only connect again.
FIRST_MESSAGE_TIME = AUTHENTICATION_TIME / 2
#: The most bytes of a request's body.
MAX_BODY = 4096
#: Seconds between two pings of a WebSocket; one without a pong in half of it is closed.
HEARTBEAT = 15.0
#: The query of a socket whose first message is `Authenticate`.
WITH_TOKEN = "token"  # noqa: S105  no secret
#: Of a file whose URL has its version.
KEEP_FOR_EVER = "max-age=31536000, immutable"


class WebServer:
    """Serves machines to browsers.

    Args:
        names: The names of machines; none for all, including those that are started later.
        options: Its address, certificate and names.
        access: The links and sessions; by default this user's.
        assets: The files of the page.
        remotes: Other computers whose screens are served too.

    Attributes:
        options: Its address, certificate and names.
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
        remotes: Sequence[FarComputer] = (),
    ) -> None:
        options.check()
        self.options = options
        access = access or Access()
        self.site = Site(names, access, assets or Assets(), remotes)
        self._sessions = Sessions(access, options.proxy, self.site.sessions_in_use)
        self.url = ""
        self.port = options.port

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until this is cancelled.

        Raises:
            KjuError: A named machine is missing, or the address is in use.
        """
        options = self.options
        with listening(options) as sock:
            self._set_address(_socket_number(options.path) or sock.getsockname()[1])
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
        certificate = self.options.certificate
        try:
            ready()
            while not running.done():
                await asyncio.sleep(TICK)
                if certificate is not None and certificate.update():
                    self._set_address(self.port)
            running.result()
        finally:
            server.close()
            if (connections := self._sessions.connections) is not None:
                connections.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.site.end_sockets()
            await runner.cleanup()

    async def _open(self, runner: web.AppRunner, sock: socket.socket) -> asyncio.Server:
        if runner.server is None:
            raise KjuError("aiohttp has no server")
        quiet = logging.getLogger(f"{__name__}.http")
        quiet.setLevel(logging.CRITICAL)  # its messages quote requests, which have secrets
        certificate, proxy = self.options.certificate, self.options.proxy
        connections = self._sessions.connections = Connections(
            lambda transport: proxy is not None and is_of_proxy(transport, proxy)
        )
        context = certificate.context if certificate else None
        loop = asyncio.get_running_loop()
        factory = limited(runner.server, connections, quiet, context)
        if self.options.path is not None:
            return await loop.create_unix_server(factory, sock=sock)
        return await loop.create_server(factory, sock=sock)

    def _set_address(self, port: int) -> None:
        self.port = port
        self._sessions.own = self.options.hosts(port)
        self.url = self.options.url(port)

    def link(self, key: str) -> str:
        """Return the URL of a link."""
        return f"{self.url}#{key}"

    # ---- requests ----

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        app.on_response_prepare.append(self._add_headers)
        app.router.add_post("/api/login", self._sessions.log_in)
        app.router.add_post("/api/logout", self._sessions.log_out)
        app.router.add_get("/api/session", self._session)
        app.router.add_get("/socket", self._socket)
        app.router.add_get("/m/{machine:.+}", self._page)
        app.router.add_get("/{path:.*}", self._file)
        return app

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(rules.headers(self.options.embedders))
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
        hosts = self._sessions.hosts_of(request)
        if not hosts.has(host):
            return error_response(403, self._wrong_host(request))
        needs_origin = request.method not in ("GET", "HEAD") or request.path == "/socket"
        if needs_origin and not hosts.is_own_origin(origin, host):
            return error_response(403, "the request is from another page")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return error_response(error.status, error.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except ProxyError as error:
            return error_response(400, str(error))
        except TooManyError as error:
            answer = error_response(429, str(error))
            answer.force_close()
            return answer
        except KjuError as error:
            log.warning("%s: %s", request.path, error)
            return error_response(500, "a fault of the server: see its log")
        except Exception:
            log.exception("%s failed", request.path)
            return error_response(500, "a fault of the server: see its log")

    def _wrong_host(self, request: web.Request) -> str:
        if proxy := self._sessions.proxy_of(request):
            return f"the proxy must send the header Host: {proxy.public.host} (see --url)"
        return "this server has another name: add it with --host NAME"

    async def _session(self, request: web.Request) -> web.StreamResponse:
        return self._sessions.describe(request, self.site.build)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request, INDEX)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request, request.match_info["path"] or INDEX)

    def _asset(self, request: web.Request, name: str) -> web.StreamResponse:
        found = self.site.assets.find(name)
        if found is None:
            return error_response(404, MISSING if name == INDEX else "no such file")
        self._sessions.find(request)
        is_this_version = request.query_string == f"v={found.version}"
        caching = KEEP_FOR_EVER if is_this_version else "no-cache"
        kept = {"ETag": found.tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        data, proxy = found.data, self._sessions.proxy_of(request)
        if proxy is not None and proxy.public.path != "/" and name in WITH_PATHS:
            below = proxy.public.path.encode()
            body = data.replace(b'"/', b'"' + below)
            return web.Response(body=body, headers={"Content-Type": found.type})
        if request.headers.get("If-None-Match") == found.tag:
            return web.Response(status=304, headers=kept)
        if found.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
            data, kept["Content-Encoding"] = found.compressed, "gzip"
        return web.Response(body=data, headers={**kept, "Content-Type": found.type})

    # ---- WebSockets ----

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if SUBPROTOCOL not in [each.strip() for each in offered]:
            return error_response(
                400, f"this server has the subprotocol {SUBPROTOCOL}: reload the page"
            )
        principal, refusal = None, ""
        # An embedded page has a session of its own, also in a browser with a cookie.
        has_token = request.query_string == WITH_TOKEN
        try:
            if has_token:
                self._sessions.named_by_proxy(request)  # an error has no answer below
            else:
                principal = self._sessions.find(request)
        except TooManyError as error:
            refusal = str(error)  # a page sees the reason of a close only
        ws = web.WebSocketResponse(
            protocols=[SUBPROTOCOL], compress=False, max_msg_size=MAX_FRAME, heartbeat=HEARTBEAT,
            timeout=2.0,
        )  # fmt: skip
        await ws.prepare(request)
        transport = request.transport
        if has_token:
            try:
                principal = await self._authenticated(ws, request)
            except TooManyError as error:
                refusal = str(error)
        if principal is not None:
            refusal = self.site.refusal(principal)
        if refusal:
            await _say_goodbye(ws, TRY_LATER, refusal)
            return ws
        if principal is None or transport is None:
            await _say_goodbye(ws, ENDED, NO_SESSION)
            return ws
        await self.site.serve(PageSocket(ws, transport, principal, self.site))
        return ws

    async def _authenticated(
        self, ws: web.WebSocketResponse, request: web.Request
    ) -> Principal | None:
        """Return the holder of the token in the first message of a socket.

        Raises:
            TooManyError: The holder has too many connections.
        """
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
        return self._sessions.find_token(message.token, request)


async def _say_goodbye(ws: web.WebSocketResponse, code: int, reason: str) -> None:
    """Close a socket with a reason."""
    with contextlib.suppress(ConnectionError):
        await ws.send_bytes(messages.encode(Goodbye(reason)))
        await ws.close(code=code, message=reason.encode()[:120])


def _socket_number(path: Path | None) -> int:
    """Return a number for a Unix socket, in place of a port; 0 without one. No port is as high."""
    return 0 if path is None else (1 << 16) + zlib.crc32(bytes(path.absolute()))
