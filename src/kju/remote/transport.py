"""SHELL: a zenoh session in an event loop.

Rules:

- What zenoh's threads bring is handed to the loop, and called there.
- What may be lost is put at once; zenoh drops it where its queue is full. What must arrive is put
  by one thread of ours, in order, because a stalled link keeps that for seconds.
- Of what may be lost each message goes as one datagram, where the link has some: what was lost
  keeps nothing else waiting. What is longer than one goes by a stream, for with each packet more it
  would be lost more often.
- `close` undeclares everything first: zenoh aborts a process that ends with a live subscriber.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from .. import extras
from ..errors import KjuError
from ..files import most_descriptors
from .endpoints import MOST_BYTES, Endpoint, Options
from .reachability import answers_quic, why_not

if TYPE_CHECKING:
    import zenoh

log = logging.getLogger(__name__)

#: Seconds to open a session, beyond what zenoh waits for its endpoints.
PATIENCE = 15.0
#: Bytes of a message that is one datagram with all that stands around it: QUIC's first packets have
#: 1,200, of which 1,150 are zenoh's; its own header and a name of a screen are 40 to 140.
DATAGRAM = 1_000
#: Seconds until what must arrive soon is said again, as a datagram. Packets that are lost are often
#: neighbours; later than this a lost one is felt.
COPY = 0.015

#: Messages of one subscription that wait for the event loop. More are dropped: a peer that sends
#: faster than the loop takes them would fill memory otherwise.
MAX_QUEUED = 4096

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
        self._publishers: dict[str, zenoh.Publisher] = {}
        #: Whether there are datagrams somewhere.
        self.datagrams = False
        self._sure = ThreadPoolExecutor(1, "kju-zenoh")
        self._closed = False

    @classmethod
    async def open(cls, options: Options) -> Self:
        """Open a session.

        Raises:
            MissingError: The extra ``remote`` is not installed.
            KjuError: It does not open: a place to listen is taken, a certificate is no good.
        """
        extras.require("remote", "a screen on the network")
        engine = cls(options)
        try:
            async with asyncio.timeout(PATIENCE):
                engine._session = await asyncio.to_thread(engine._open)
        except TimeoutError:
            raise KjuError(f"zenoh opened no session in {PATIENCE:g} s") from None
        return engine

    def _open(self) -> zenoh.Session:
        import zenoh

        quic = self._over_quic()
        try:
            try:
                session = self._opened(quic)
                self.datagrams = bool(quic)
            except zenoh.ZError as error:
                if not quic:
                    raise
                log.warning("not over UDP, so over TCP only: %s", _plain(error))
                session = self._opened(())
        except zenoh.ZError as error:
            raise KjuError(self._why(error)) from error
        return session

    def _over_quic(self) -> list[Endpoint]:
        """Of the places those that are there over QUIC, too."""
        options = self._options
        listen = [each for each in options.listen if options.may_have_datagrams(each)]
        connect = [each for each in options.connect if options.may_have_datagrams(each)]
        return [*listen, *(each for each in connect if answers_quic(each))]

    def _opened(self, quic: Collection[Endpoint]) -> zenoh.Session:
        import zenoh

        config = zenoh.Config()
        for name, value in self._options.json(quic, most_descriptors()).items():
            config.insert_json5(name, value)
        return zenoh.open(config)

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
        places = threading.Semaphore(MAX_QUEUED)

        def take(key: str, data: bytes) -> None:
            places.release()
            self._if_open(taken, key, data)

        def came(sample: zenoh.Sample) -> None:
            if len(sample.payload) <= MOST_BYTES and places.acquire(blocking=False):
                with contextlib.suppress(RuntimeError):  # the loop has closed
                    key, data = str(sample.key_expr), bytes(sample.payload)
                    self._loop.call_soon_threadsafe(take, key, data)

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

    def put(self, key: str, data: bytes, *, stream: bool = False) -> None:
        """Say what may be lost.

        Args:
            key: Where.
            data: What.
            stream: Not as a datagram; what is longer than one never is.
        """
        import zenoh

        if self._closed:
            return
        with contextlib.suppress(zenoh.ZError):
            if self.datagrams and not stream and len(data) <= DATAGRAM:
                self._publisher(key).put(data)
            else:
                drop, express = zenoh.CongestionControl.DROP, True
                self.session.put(key, data, congestion_control=drop, express=express)

    def _publisher(self, key: str) -> zenoh.Publisher:
        """What puts datagrams: a session's own `put` knows none."""
        import zenoh

        found = self._publishers.get(key)
        if found is None:
            found = self._publishers[key] = self.session.declare_publisher(
                key, congestion_control=zenoh.CongestionControl.DROP, express=True,
                reliability=zenoh.Reliability.BEST_EFFORT,
            )  # fmt: skip
        return found

    def forget(self, key: str) -> None:
        """Nothing will be put there any more. Fine if nothing was."""
        if (publisher := self._publishers.pop(key, None)) is not None:
            self._undeclare(publisher)

    def put_soon(self, key: str, data: bytes) -> None:
        """Say what must arrive, and say it again: whoever hears it twice must know the second."""
        self.put_surely(key, data)
        if self.datagrams and len(data) <= DATAGRAM:
            self._publisher(key)
            self._loop.call_later(COPY, self._put_copy, key, data)

    def _put_copy(self, key: str, data: bytes) -> None:
        if key in self._publishers:  # else nobody is there any more
            self.put(key, data)

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
        for declared in [*self._declared, *self._publishers.values()]:
            self._undeclare(declared)
        self._declared.clear()
        self._publishers.clear()
        if self._session is not None:
            with contextlib.suppress(zenoh.ZError):
                self._session.close()  # type: ignore[no-untyped-call]  # zenoh's own


def _plain(error: Exception) -> str:
    """What zenoh says, without the places in its source."""
    return str(error).split(" at ", 1)[0].strip()[:500]
