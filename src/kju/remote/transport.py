"""SHELL: a zenoh session in an event loop.

Rules:

- Callbacks run in the event loop, not in zenoh's threads.
- `put` sends at once; zenoh drops the message if its queue is full. `put_reliable` sends from one
  thread of its own, in order, because a stalled link blocks that for seconds.
- A message that may be lost is one datagram, if the link has datagrams: no head-of-line blocking. A
  message longer than one datagram goes by a stream, because a message of several datagrams is
  lost more easily.
- `close` undeclares everything first: zenoh aborts a process that ends with a live subscriber.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .. import extras
from ..errors import KjuError, MissingError
from ..files import most_descriptors
from .addresses import MAX_ZENOH_MESSAGE, Endpoint, SessionOptions
from .connection_errors import answers_quic, explain_unreachable

if TYPE_CHECKING:
    import zenoh

log = logging.getLogger(__name__)

#: Seconds to open a session; longer than zenoh waits for its endpoints.
OPEN_TIMEOUT = 15.0
#: The most bytes of a message that fits into one datagram. QUIC's first packets have 1,200 bytes,
#: of which zenoh gets 1,150; its header and the name of a screen are 40 to 140.
MAX_DATAGRAM = 1_000
#: Seconds until an urgent message is sent again, as a datagram. Lost packets are often neighbours,
#: so the copy waits a little; with a longer wait a lost packet can be felt.
_COPY_DELAY = 0.015
#: Messages of one subscription that wait for the event loop. More are dropped: otherwise a peer
#: that sends faster than the loop processes would fill the memory.
MAX_QUEUED = 4096

#: Bytes of a question, the questions that wait for the event loop, and the answers to one.
MAX_QUESTION, MAX_QUESTIONS, MAX_ANSWERS = 64, 16, 1024

#: Takes the key and the bytes of a message.
OnData = Callable[[str, bytes], object]
#: Takes the key and the bytes of a question; returns the answers, each with its key.
OnQuestion = Callable[[str, bytes], Iterable[tuple[str, bytes]]]
#: Takes the key of a token, and whether it exists.
OnPresence = Callable[[str, bool], object]


class Tokens(NamedTuple):
    """The tokens of an `Engine.find_tokens`.

    Attributes:
        keys: Their keys, sorted.
        is_complete: Every peer has answered in time; else tokens may be missing.
    """

    keys: list[str]
    is_complete: bool


class Engine:
    """One zenoh session.

    Args:
        options: Its endpoints.

    Attributes:
        datagrams: Some links may have datagrams.
    """

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._session: zenoh.Session | None = None
        self._declared: list[Any] = []
        self._publishers: dict[str, zenoh.Publisher] = {}
        self.datagrams = False
        self._reliable = ThreadPoolExecutor(1, "kju-reliable")
        self._closed = False

    @classmethod
    async def open(cls, options: SessionOptions) -> Self:
        """Open a session.

        Raises:
            MissingError: The extra ``remote`` is not installed.
            KjuError: It cannot open: an endpoint is in use, a certificate is not accepted, ...
        """
        extras.require("remote", "a screen on the network")
        engine = cls(options)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                engine._session = await asyncio.to_thread(engine._open)
        except TimeoutError:
            raise KjuError(f"zenoh did not open a session in {OPEN_TIMEOUT:g} s") from None
        return engine

    @staticmethod
    async def meet(where: Endpoint) -> Engine:
        """Open a session at a socket: listen and forward messages there, or connect to another.

        When the process that listens ends, the others do not listen by themselves: see
        `has_lost_meeting`.

        Raises:
            KjuError: Neither works.
        """
        try:
            return await Engine.open(SessionOptions(listen=[where], router=True))
        except MissingError:
            raise
        except KjuError as error:
            try:
                return await Engine.open(SessionOptions(connect=[where]))
            except KjuError:
                raise error from None

    def has_lost_meeting(self) -> bool:
        """Return whether this session is connected to nobody, and does not listen."""
        return not self._options.listen and not self.is_connected()

    def _open(self) -> zenoh.Session:
        import zenoh

        quic = self._quic_endpoints()
        try:
            try:
                session = self._open_session(quic)
                self.datagrams = bool(quic)
            except zenoh.ZError as error:
                if not quic:
                    raise
                log.warning("QUIC is not available, so only TCP is used: %s", _plain(error))
                session = self._open_session(())
        except zenoh.ZError as error:
            raise KjuError(self._explain(error)) from error
        return session

    def _quic_endpoints(self) -> list[Endpoint]:
        """Return the endpoints to reach over QUIC too."""
        options = self._options
        listen = [each for each in options.listen if options.may_have_datagrams(each)]
        connect = [each for each in options.connect if options.may_have_datagrams(each)]
        return [*listen, *(each for each in connect if answers_quic(each))]

    def _open_session(self, quic: Collection[Endpoint]) -> zenoh.Session:
        import zenoh

        config = zenoh.Config()
        for name, value in self._options.json(quic, most_descriptors()).items():
            config.insert_json5(name, value)
        return zenoh.open(config)

    def _explain(self, error: Exception) -> str:
        """Return why the session did not open; zenoh itself only reports a timeout."""
        options = self._options
        if options.connect and "connect" in str(error).lower():
            return "; ".join(
                f"{where}: {explain_unreachable(where, options.tls)}" for where in options.connect
            )
        return f"zenoh cannot open a session: {_plain(error)}"

    @property
    def session(self) -> zenoh.Session:
        """The session of the zenoh library."""
        if self._session is None:
            raise KjuError("the session is not open")
        return self._session

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._if_open, call, *arguments)

    def _if_open(self, call: Callable[..., object], *arguments: object) -> None:
        if not self._closed:
            call(*arguments)

    def subscribe(self, key: str, on_data: OnData) -> Callable[[], None]:
        """Receive the messages of a key; return the function that ends that."""
        slots = threading.Semaphore(MAX_QUEUED)

        def call(key: str, data: bytes) -> None:
            slots.release()
            self._if_open(on_data, key, data)

        def on_sample(sample: zenoh.Sample) -> None:
            if len(sample.payload) <= MAX_ZENOH_MESSAGE and slots.acquire(blocking=False):
                with contextlib.suppress(RuntimeError):  # the loop has closed
                    key, data = str(sample.key_expr), bytes(sample.payload)
                    self._loop.call_soon_threadsafe(call, key, data)

        return self._undo(self.session.declare_subscriber(key, on_sample))

    def on_presence(self, key: str, on_presence: OnPresence) -> Callable[[], None]:
        """Follow tokens, beginning with those that exist; return the function that ends that."""
        import zenoh

        def on_sample(sample: zenoh.Sample) -> None:
            self._in_loop(on_presence, str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

        declare = self.session.liveliness().declare_subscriber
        return self._undo(declare(key, on_sample, history=True))

    def declare_token(self, key: str) -> Callable[[], None]:
        """Declare a token; return the function that removes it. It ends with this process."""
        return self._undo(self.session.liveliness().declare_token(key))

    def find_tokens(self, key: str, seconds: float, most: int | None = None) -> Tokens:
        """Return the tokens that exist. Blocks: call it in a thread.

        Args:
            key: The key, with or without wildcards.
            seconds: Time for the answers.
            most: Answers that are read; None for all.
        """
        replies = self.session.liveliness().get(key, timeout=seconds)
        read = list(itertools.islice(replies, most))
        keys = sorted({str(reply.ok.key_expr) for reply in read if reply.ok})
        # zenoh adds an error to the answers when the time is over.
        return Tokens(keys, is_complete=all(reply.ok for reply in read))

    def answer(self, key: str, on_question: OnQuestion) -> Callable[[], None]:
        """Answer the questions about a key; return the function that ends that.

        At most `MAX_QUESTIONS` wait; others get no answer.
        """
        slots = threading.Semaphore(MAX_QUESTIONS)

        def call(query: zenoh.Query, key: str, data: bytes) -> None:
            replies = () if self._closed else on_question(key, data)
            self._reliable.submit(reply, query, list(replies))

        def reply(query: zenoh.Query, replies: list[tuple[str, bytes]]) -> None:
            import zenoh

            try:
                with contextlib.suppress(zenoh.ZError):
                    for key, data in replies:
                        query.reply(key, data)
            finally:
                query.drop()  # type: ignore[no-untyped-call]  # zenoh's own
                slots.release()

        def on_query(query: zenoh.Query) -> None:
            data = bytes(query.payload) if query.payload is not None else b""
            if len(data) <= MAX_QUESTION and slots.acquire(blocking=False):
                with contextlib.suppress(RuntimeError):  # the loop has closed
                    self._loop.call_soon_threadsafe(call, query, str(query.key_expr), data)

        return self._undo(self.session.declare_queryable(key, on_query))

    def ask(self, key: str, data: bytes, seconds: float) -> list[tuple[str, bytes]]:
        """Ask about a key; return the answers, with their keys. Blocks: call it in a thread.

        Args:
            key: The key, with or without wildcards.
            data: The question, at most `MAX_QUESTION` bytes.
            seconds: Time for the answers.
        """
        import zenoh

        replies = self.session.get(
            key, payload=data, timeout=seconds, consolidation=zenoh.ConsolidationMode.NONE
        )
        return [
            (str(reply.ok.key_expr), bytes(reply.ok.payload))
            for reply in itertools.islice(replies, MAX_ANSWERS)
            if reply.ok and len(reply.ok.payload) <= MAX_ZENOH_MESSAGE
        ]

    def is_connected(self) -> bool:
        """Return whether another session is connected to this one. Blocks: call it in a thread."""
        info = self.session.info
        return bool(info.peers_zid() or info.routers_zid())

    def put(self, key: str, data: bytes, *, stream: bool = False) -> None:
        """Send a message that may be lost.

        Args:
            key: The key of its receiver.
            data: The message.
            stream: Use no datagram; a message longer than one never does.
        """
        import zenoh

        if self._closed:
            return
        with contextlib.suppress(zenoh.ZError):
            if self.datagrams and not stream and len(data) <= MAX_DATAGRAM:
                self._publisher(key).put(data)
            else:
                drop, express = zenoh.CongestionControl.DROP, True
                self.session.put(key, data, congestion_control=drop, express=express)

    def _publisher(self, key: str) -> zenoh.Publisher:
        """Return the publisher of datagrams to a key: the session's own `put` cannot send them."""
        import zenoh

        found = self._publishers.get(key)
        if found is None:
            found = self._publishers[key] = self.session.declare_publisher(
                key, congestion_control=zenoh.CongestionControl.DROP, express=True,
                reliability=zenoh.Reliability.BEST_EFFORT,
            )  # fmt: skip
        return found

    def drop_publisher(self, key: str) -> None:
        """Free the publisher of a key. No effect without one."""
        if (publisher := self._publishers.pop(key, None)) is not None:
            self._undeclare(publisher)

    def put_urgent(self, key: str, data: bytes) -> None:
        """Send a reliable message, and a copy as a datagram; the receiver must know copies."""
        self.put_reliable(key, data)
        if self.datagrams and len(data) <= MAX_DATAGRAM:
            self._publisher(key)
            self._loop.call_later(_COPY_DELAY, self._put_copy, key, data)

    def _put_copy(self, key: str, data: bytes) -> None:
        if key in self._publishers:  # else its receiver has left
            self.put(key, data)

    def put_reliable(self, key: str, data: bytes) -> None:
        """Send a message that must arrive, in order."""
        if not self._closed:
            self._reliable.submit(self._put_reliable, key, data)

    def _put_reliable(self, key: str, data: bytes) -> None:
        import zenoh

        block = zenoh.CongestionControl.BLOCK
        with contextlib.suppress(zenoh.ZError):
            self.session.put(
                key, data, congestion_control=block, express=True,
                priority=zenoh.Priority.INTERACTIVE_HIGH,
            )  # fmt: skip

    def _undo(self, declared: Any) -> Callable[[], None]:  # noqa: ANN401  zenoh has several types
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
        """End the session. No effect if it has ended."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        import zenoh

        self._reliable.shutdown(wait=True)
        for declared in [*self._declared, *self._publishers.values()]:
            self._undeclare(declared)
        self._declared.clear()
        self._publishers.clear()
        if self._session is not None:
            with contextlib.suppress(zenoh.ZError):
                self._session.close()  # type: ignore[no-untyped-call]  # zenoh's own


def _plain(error: Exception) -> str:
    """Return the text of a zenoh error without its source locations."""
    return str(error).split(" at ", 1)[0].strip()[:500]
