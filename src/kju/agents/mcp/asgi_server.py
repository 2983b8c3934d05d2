"""The HTTP server below the MCP server: uvicorn, with limits for connections.

uvicorn closes a connection that rests after a request. One that sends nothing, or a part of a
request, it keeps without an end; `make_server` ends these, too, before any of them has shown a
token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from ...escaping import one_line

#: Connections at a time.
MAX_CONNECTIONS = 256
#: Seconds in which a new connection must send a request, or the rest of one.
_REQUEST_TIMEOUT = 10.0
#: Seconds for connections to end when the server ends; its calls have ended by then.
_CLOSING = 2


def make_server(app: Any, *, request_timeout: float = _REQUEST_TIMEOUT) -> Any:  # noqa: ANN401
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
