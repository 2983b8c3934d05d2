"""SHELL: a zenoh session in an event loop.

Rules:

- What zenoh's threads bring is handed to the loop, and called there.
- What may be lost is put at once; zenoh drops it where its queue is full. What must arrive is put
  by one thread of ours, in order, because a stalled link keeps that for seconds.
- `close` undeclares everything first: zenoh aborts a process that ends with a live subscriber.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from ..errors import KjuError, MissingError
from .options import Options
from .probe import why_not

if TYPE_CHECKING:
    import zenoh

#: Seconds to open a session, beyond what zenoh waits for its endpoints.
PATIENCE = 15.0

#: Is given a key and what was put there.
Taken = Callable[[str, bytes], object]
#: Is given a key, and whether its token lives.
Lives = Callable[[str, bool], object]


class Engine:
    """One session.

    Args:
        options: How it reaches others.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._session: zenoh.Session | None = None
        self._declared: list[Any] = []
        self._sure = ThreadPoolExecutor(1, "kju-zenoh")
        self._closed = False

    @classmethod
    async def open(cls, options: Options) -> Self:
        """Open a session.

        Raises:
            MissingError: zenoh is not installed.
            KjuError: It does not open: a place to listen is taken, a certificate is no good.
        """
        engine = cls(options)
        try:
            async with asyncio.timeout(PATIENCE):
                engine._session = await asyncio.to_thread(engine._open)
        except TimeoutError:
            raise KjuError(f"zenoh opened no session in {PATIENCE:g} s") from None
        return engine

    def _open(self) -> zenoh.Session:
        try:
            import zenoh
        except ImportError as error:
            raise MissingError(
                "screens on the network need zenoh: pip install 'kju[remote]'"
            ) from error
        config = zenoh.Config()
        try:
            for name, value in self._options.json().items():
                config.insert_json5(name, value)
            return zenoh.open(config)
        except zenoh.ZError as error:
            raise KjuError(self._why(error)) from error

    def _why(self, error: Exception) -> str:
        """Why there is no session: what zenoh does not say of its endpoints is asked for."""
        options = self._options
        if options.connect and "connect" in str(error).lower():
            return "; ".join(f"{where}: {why_not(where, options.tls)}" for where in options.connect)
        return f"zenoh opened no session: {_plain(error)}"

    @property
    def session(self) -> zenoh.Session:
        """Zenoh's own."""
        if self._session is None:
            raise KjuError("the session is not open")
        return self._session

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._if_open, call, *arguments)

    def _if_open(self, call: Callable[..., object], *arguments: object) -> None:
        if not self._closed:
            call(*arguments)

    def subscribe(self, key: str, taken: Taken) -> Callable[[], None]:
        """Be given what is put there; returns what ends that."""

        def came(sample: zenoh.Sample) -> None:
            self._in_loop(taken, str(sample.key_expr), bytes(sample.payload))

        return self._kept(self.session.declare_subscriber(key, came))

    def watch(self, key: str, lives: Lives) -> Callable[[], None]:
        """Be told of tokens, those that are there first; returns what ends that."""
        import zenoh

        def came(sample: zenoh.Sample) -> None:
            self._in_loop(lives, str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

        declare = self.session.liveliness().declare_subscriber
        return self._kept(declare(key, came, history=True))

    def token(self, key: str) -> Callable[[], None]:
        """Have a token until what is returned is called, or this process ends."""
        return self._kept(self.session.liveliness().declare_token(key))

    def tokens(self, key: str, seconds: float) -> list[str]:
        """The keys of tokens that live now; waits, so not in the loop."""
        replies = self.session.liveliness().get(key, timeout=seconds)
        return sorted({str(reply.ok.key_expr) for reply in replies if reply.ok})

    def put(self, key: str, data: bytes) -> None:
        """Say what may be lost."""
        import zenoh

        drop, express = zenoh.CongestionControl.DROP, True
        with contextlib.suppress(zenoh.ZError):
            self.session.put(key, data, congestion_control=drop, express=express)

    def put_surely(self, key: str, data: bytes) -> None:
        """Say what must arrive, in order."""
        if not self._closed:
            self._sure.submit(self._put_surely, key, data)

    def _put_surely(self, key: str, data: bytes) -> None:
        import zenoh

        block = zenoh.CongestionControl.BLOCK
        with contextlib.suppress(zenoh.ZError):
            self.session.put(
                key, data, congestion_control=block, express=True,
                priority=zenoh.Priority.INTERACTIVE_HIGH,
            )  # fmt: skip

    def _kept(self, declared: Any) -> Callable[[], None]:  # noqa: ANN401  zenoh's several kinds
        self._declared.append(declared)

        def undeclare() -> None:
            if declared in self._declared:
                self._declared.remove(declared)
                self._undeclare(declared)

        return undeclare

    def _undeclare(self, declared: Any) -> None:  # noqa: ANN401
        import zenoh

        with contextlib.suppress(zenoh.ZError):
            declared.undeclare()

    async def close(self) -> None:
        """End the session. Fine if it has ended."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        import zenoh

        self._sure.shutdown(wait=True)
        for declared in self._declared:
            self._undeclare(declared)
        self._declared.clear()
        if self._session is not None:
            with contextlib.suppress(zenoh.ZError):
                self._session.close()  # type: ignore[no-untyped-call]  # zenoh's own


def _plain(error: Exception) -> str:
    """What zenoh says, without the places in its source."""
    return str(error).split(" at ", 1)[0].strip()[:500]
