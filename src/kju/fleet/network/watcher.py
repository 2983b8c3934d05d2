"""SHELL: a fleet as it is seen on the network, without Ray.

Rules:

- The tokens of the nodes are followed, and the controller is asked for its statuses. Without a
  controller the tokens decide: the nodes still show their machines.
- If the connection is lost, the states of the machines stay. The watcher connects again, and
  continues after the last change that it has reported.
- With certificates only messages that a host of the authority has signed are taken. A question has
  a random number, which the signature covers, so an old answer cannot be repeated.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any, NamedTuple, Self

from ...errors import KjuError, PeerError, UnavailableError
from ...remote.addresses import SessionOptions
from ...remote.transport import Engine
from ...remote.trust import Trust
from ..messages import FLEET_NAME, MachineStatus
from .news import (
    FleetPicture,
    News,
    What,
    changes_key,
    controller_key,
    decode_envelope,
    decode_news,
    fleet_of,
    joined_news,
    start_of,
    starts_key,
    state_key,
)
from .publisher import SIGNED

log = logging.getLogger(__name__)

#: Seconds for the controller's answer, and for tokens. Without a controller nobody waits for it.
ANSWER_TIMEOUT = 10.0
#: Seconds after which a token that has ended counts, if the connection has not.
_SETTLE = 0.5
#: Seconds for the nodes to show their machines, after the loss of a controller or a connection: the
#: senders of a node may have to connect again, too.
GRACE_TIME = 15.0
#: Seconds between two looks at the connection, and two attempts to connect again.
_LOOK = 1.0
#: Parts of a message that wait for the others.
_MAX_PARTS = 1024
#: The most other fleets in a message.
_MAX_NAMED = 8


class FleetEvent(NamedTuple):
    """Something that has happened in a fleet.

    Attributes:
        status: A state that a machine has entered; None for a notice.
        notice: About the watching itself; empty for a status.
    """

    status: MachineStatus | None
    notice: str = ""


class FleetWatcher:
    """Watches a fleet.

    Args:
        fleet: The name of the fleet.
        options: How to connect.
        trust: Checks signatures; None without certificates.
        past: Report the changes before the beginning, too.

    Attributes:
        picture: The states of its machines.
    """

    def __init__(
        self, fleet: str, options: SessionOptions, trust: Trust | None, *, past: bool = False
    ) -> None:
        self._fleet, self._options, self._trust = fleet, options, trust
        self._past = past
        self.picture = FleetPicture()
        self._engine: Engine | None = None
        self._events: asyncio.Queue[FleetEvent] = asyncio.Queue()
        self._parts: list[News] = []
        self._early: list[News] = []
        self._fault = ""
        self._following: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        #: The controller's token exists.
        self._is_there = False

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KjuError: The network cannot be reached.
        """
        await self._connect()
        self._following = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._disconnect()

    def taken(self) -> list[FleetEvent]:
        """Return the events since the last call."""
        return [self._events.get_nowait() for _ in range(self._events.qsize())]

    async def events(self) -> AsyncIterator[FleetEvent]:
        """Yield the events, until this is cancelled."""
        while True:
            yield await self._events.get()

    # ---- the connection

    async def _connect(self) -> None:
        engine = self._engine = await Engine.open(self._options)
        try:
            await self._follow(engine)
        except BaseException:
            # It would seem to be connected, and follow nothing.
            await self._disconnect()
            raise

    async def _follow(self, engine: Engine) -> None:
        """Follow the tokens and the changes of the fleet."""
        fleet = self._fleet
        engine.subscribe(changes_key(fleet), self._on_changes)
        # Those that exist, now; and the others as they come.
        found, there = await asyncio.gather(
            self._find(engine, starts_key(fleet)),
            self._find(engine, controller_key(fleet)),
        )
        # First, so that a machine that both know is reported as the controller does.
        if there:
            self._is_there = True
            await self._ask()
        elif found:
            self._notice(f"the controller of {fleet} is not on the network: its nodes show this")
        else:
            others = await self._find(engine, controller_key("*"))
            # Every client of the network can send a token.
            names = [name for name in map(fleet_of, others) if FLEET_NAME.fullmatch(name)]
            hint = f"; these fleets are: {', '.join(names[:_MAX_NAMED])} (--fleet)" if names else ""
            self._notice(f"no node and no controller of a fleet {fleet} is on the network{hint}")
        for key in found:
            self._on_token(key, True)
        engine.on_presence(starts_key(fleet), self._on_token)
        engine.on_presence(controller_key(fleet), self._on_controller)

    async def _find(self, engine: Engine, key: str) -> list[str]:
        """Return the keys of the tokens whose peers have answered."""
        return (await asyncio.to_thread(engine.find_tokens, key, ANSWER_TIMEOUT)).keys

    async def _disconnect(self) -> None:
        engine, self._engine = self._engine, None
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if engine is not None:
            await engine.close()

    async def _stay_connected(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            if self._engine is not None and self._engine.is_connected():
                if self._is_there and not self.picture.has_controller:
                    await self._ask()  # it was too busy for the last question
                continue
            if self._engine is not None:
                self._notice("the connection is lost; trying again")
                await self._disconnect()
                self.picture.forget_connection()
                self._is_there = False
            try:
                await self._connect()
            except Exception as error:  # zenoh's errors have no common root
                log.info("%s: no connection: %s", self._fleet, error)
                continue
            self._notice("connected again")
            self._later(self._settle_unconfirmed())

    def _notice(self, text: str) -> None:
        self._events.put_nowait(FleetEvent(None, text))

    def _report(self, statuses: list[MachineStatus], missed: int = 0) -> None:
        if missed:
            self._notice(f"{missed} changes are no longer kept")
        for status in statuses:
            self._events.put_nowait(FleetEvent(status))

    # ---- the nodes

    def _on_token(self, key: str, is_present: bool) -> None:
        start = start_of(key, self._fleet)
        if start is None:
            return
        if is_present:
            self._report(self.picture.take_token(start))
        else:
            self._later(self._settle_token(key))

    async def _settle_token(self, key: str) -> None:
        # Without a connection all tokens have ended, and none of the machines.
        await asyncio.sleep(_SETTLE)
        start = start_of(key, self._fleet)
        # It may be back: its node was on another connection for a moment.
        if start is not None and await self._has_ended(key):
            self._report(self.picture.lose_token(start))

    async def _has_ended(self, key: str) -> bool:
        """Return whether a token has ended: all peers have answered, and none has it."""
        engine = self._engine
        while engine is not None and engine is self._engine and engine.is_connected():
            tokens = await asyncio.to_thread(engine.find_tokens, key, ANSWER_TIMEOUT)
            if tokens.keys or tokens.is_complete:
                return not tokens.keys
            await asyncio.sleep(_LOOK)  # a peer that did not answer in time may have it
        return False

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # ---- the controller

    def _on_controller(self, key: str, is_present: bool) -> None:
        if is_present and not self._is_there:
            self._is_there = True
            self._later(self._ask())
        elif not is_present:
            self._later(self._settle_controller())

    async def _settle_controller(self) -> None:
        await asyncio.sleep(_SETTLE)
        if await self._has_ended(controller_key(self._fleet)) and self._is_there:
            self._is_there = False
            self._notice("the controller does not answer any more; the nodes show their machines")
            self._report(self.picture.lose_controller())
            self._later(self._settle_unconfirmed())

    async def _settle_unconfirmed(self) -> None:
        await asyncio.sleep(GRACE_TIME)
        self._report(self.picture.lose_unconfirmed())

    async def _ask(self) -> None:
        """Ask the controller for everything."""
        try:
            statuses, changes = await self._answer("statuses"), await self._answer("changes")
        except KjuError as error:
            if str(error) != self._fault:
                self._notice(str(error))
            self._fault = str(error)
            return
        self._fault = ""
        self._report(*self.picture.take_answers(statuses, changes, past=self._past))
        early, self._early = self._early, []
        for news in early:
            self._report(*self.picture.take_changes(news))

    async def _answer(self, what: What) -> News:
        """Return the controller's answer to a question.

        Raises:
            UnavailableError: No answer arrived, or none with the signature of a host.
        """
        if self._engine is None:
            raise UnavailableError("the connection is closed")
        question, key = os.urandom(16), state_key(self._fleet, what)
        answers = await asyncio.to_thread(self._engine.ask, key, question, ANSWER_TIMEOUT)
        found, why = [], "it sent nothing"
        for at, data in answers:
            try:
                found.append(self._opened(at, question, data))
            except PeerError as error:
                why = str(error)
        news = joined_news(found)
        if news is None:
            raise UnavailableError(f"the controller of {self._fleet} did not answer: {why}")
        return news

    def _on_changes(self, key: str, data: bytes) -> None:
        try:
            news = self._opened(key, b"", data)
        except PeerError as error:
            log.info("a message was dropped: %s", error)
            return
        same = [each for each in self._parts if each.count == news.count]
        self._parts = [*same, news][-_MAX_PARTS:]
        whole = joined_news(self._parts)
        if whole is None:
            return
        self._parts = []
        if self.picture.has_controller:
            self._report(*self.picture.take_changes(whole))
        else:  # the answers are on their way
            self._early = [*self._early, whole][-_MAX_PARTS:]

    def _opened(self, key: str, question: bytes, data: bytes) -> News:
        """Return the news of a message.

        Raises:
            PeerError: It is not valid, or no host has signed it.
        """
        envelope = decode_envelope(data)
        if self._trust is not None:
            parts = key.encode(), question, envelope.body
            self._trust.verify(envelope.proof, SIGNED, *parts, kind="host")
        return decode_news(envelope.body)
