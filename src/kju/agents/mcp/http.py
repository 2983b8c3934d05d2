"""The MCP server over HTTP, for clients on this computer: a loopback port or a Unix socket.

A request needs the token, and headers ``Host`` and ``Origin`` of this computer. A page in a browser
has neither: it cannot read the token, and after DNS rebinding its ``Host`` is another.

| path | serves |
|---|---|
| ``/mcp`` | streamable HTTP of the Model Context Protocol |
| ``/mcp/NAME`` | the same, for one of several clients |

Points are pixels of the last picture that a client was given. Protocol 2026-07-28 has no sessions,
so its clients are distinguished by the path only.

The HTTP server is uvicorn. It closes a connection that rests after a request. One that sends
nothing, or a part of a request, it keeps without an end; `make_http_server` ends these, too, before
any of them has shown a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ... import extras
from ...escaping import one_line
from ...signals import ending_signals
from .listening import Listener
from .server import CLIENT, ClientOfCall, make_server
from .session import ToolSession

#: Bytes of a request: far above a call of `act` with every text that it takes in one go.
MAX_BODY = 1 << 20
#: Sessions of the older protocols.
MAX_SESSIONS = 64
#: Seconds without a request after which a session ends.
_SESSION_TIMEOUT = 1800.0
#: Connections at a time.
MAX_CONNECTIONS = 256
#: Seconds in which a new connection must send a request, or the rest of one.
_REQUEST_TIMEOUT = 10.0
#: Seconds for connections to end when the server ends; its calls have ended by then.
_CLOSING = 2
#: Names of this computer in ``Host`` and ``Origin``.
_HERE = ("127.0.0.1", "localhost", "::1")
_PATH = re.compile(r"/mcp(?:/[A-Za-z0-9_.-]{1,64})?/?")


class Gate:
    """Admits requests with the token, from this computer, to the application behind.

    Args:
        behind: An ASGI application.
        token: The token of the requests.
    """

    def __init__(self, behind: Any, token: str) -> None:  # noqa: ANN401  an ASGI application
        self._behind = behind
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Answer one request."""
        from starlette.responses import PlainTextResponse

        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        if refusal := self.refusal(scope["path"], headers):
            code, words = refusal
            more = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
            await PlainTextResponse(f"{words}\n", code, more)(scope, receive, send)
            return
        gone, whole = asyncio.Event(), asyncio.Event()
        session = headers.get("mcp-session-id", "")
        scope[CLIENT] = ClientOfCall(f"{scope['path'].rstrip('/')} {session}", gone)

        async def reading() -> Any:  # noqa: ANN401  an ASGI message
            message = await receive()
            if not message.get("more_body", False):
                whole.set()
            return message

        async def watch() -> None:
            # Not before: until then the messages are parts of the request.
            await whole.wait()
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        watcher = asyncio.ensure_future(watch())
        try:
            await self._behind(scope, reading, send)
        finally:
            watcher.cancel()

    def refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the status and the reason for which a request is refused; None to admit it.

        Args:
            path: Its path.
            headers: Its headers, by their names in small letters.
        """
        if not _is_here(f"//{headers.get('host', '')}"):
            return 421, "the header Host must be 127.0.0.1, localhost or [::1]"
        origin = headers.get("origin")
        if origin is not None and not _is_here(origin):
            return 403, "the header Origin must be left out, or be of this computer"
        if not _PATH.fullmatch(path):
            return 404, "the server is at /mcp, or at /mcp/NAME for each of several clients"
        kind, _, token = headers.get("authorization", "").partition(" ")
        # In constant time, so that no prefix of the token can be guessed.
        right = hmac.compare_digest(token.strip().encode("latin-1"), self._token)
        if kind.lower() != "bearer" or not right:
            return 401, "send the header: Authorization: Bearer TOKEN; kju mcp printed its file"
        return None


def _is_here(address: str) -> bool:
    """Check the host of an address such as ``//localhost:80`` or ``http://localhost:80``."""
    try:
        return urlsplit(address).hostname in _HERE
    except ValueError:
        return False


def _make_app(session: ToolSession, token: str) -> Any:  # noqa: ANN401  an ASGI application
    """Return the ASGI application.

    Raises:
        MissingError: The extra ``agents`` is not installed.
    """
    extras.require("agents", "an MCP server")
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.applications import Starlette
    from starlette.routing import Mount

    manager = StreamableHTTPSessionManager(
        make_server(session),
        max_request_body_size=MAX_BODY,
        max_sessions=MAX_SESSIONS,
        session_idle_timeout=_SESSION_TIMEOUT,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    gate = Gate(manager.handle_request, token)
    return Starlette(routes=[Mount("/", app=gate)], lifespan=lifespan)


async def serve_http(
    session: ToolSession, listener: Listener, token: str, ready: Callable[[], None]
) -> None:
    """Serve clients over HTTP until a signal ends the command.

    Args:
        session: Its tools.
        listener: The socket; it is closed.
        token: The token of the requests.
        ready: Called when clients can connect.

    Raises:
        MissingError: The extra ``agents`` is not installed.
    """
    app = _make_app(session, token)
    server = make_http_server(app)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, ended.set)
    try:
        serving = asyncio.ensure_future(server.serve(sockets=[listener.socket]))
        ready()
        leaving = asyncio.ensure_future(ended.wait())
        await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        await session.close()
        server.should_exit = True
        await serving
    finally:
        await session.close()
        listener.close()


def make_http_server(app: Any, *, request_timeout: float = _REQUEST_TIMEOUT) -> Any:  # noqa: ANN401
    """Return a `uvicorn.Server` of an ASGI application, which leaves signals to the command.

    Args:
        app: The application.
        request_timeout: A connection without a running request is closed after once to twice so
            many seconds.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class SignalFreeServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:  # noqa: ANN401  a generator
            """Leave the signals to this command: its calls must end first."""
            yield

    class TimedProtocol(H11Protocol):
        """One connection."""

        _check: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401
            """Begin to count the time."""
            super().connection_made(transport)
            self._check = self.loop.call_later(request_timeout, self._close_if_silent, self.cycle)

        def connection_lost(self, exc: Exception | None) -> None:
            """Count no more."""
            if self._check is not None:
                self._check.cancel()
            super().connection_lost(exc)

        def _close_if_silent(self, last: Any) -> None:  # noqa: ANN401
            """Close the connection if no request ran since the check before.

            Args:
                last: The newest request at that check; None without one.
            """
            now = self.cycle
            if now is last and (now is None or now.response_complete):
                self.transport.close()
            else:
                self._check = self.loop.call_later(request_timeout, self._close_if_silent, now)

    _log_errors()
    return SignalFreeServer(
        uvicorn.Config(
            app,
            http=TimedProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=_CLOSING,
        )
    )


class _OneLine(logging.Formatter):
    """Formats an error in one line: a client can cause most of those that the library logs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        error = record.exc_info[1] if record.exc_info else None
        why = "" if error is None else f": {type(error).__name__} {error}"
        return f"kju mcp: {one_line(record.getMessage() + why)}"


def _log_errors() -> None:
    """Print the errors of the libraries, without headers or contents of requests."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    handler.setFormatter(_OneLine())
    for name in ("mcp", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
