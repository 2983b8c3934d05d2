"""Machines of other computers (`kju serve`) in the model. No toolkit.

- The addresses that a user adds are remembered (`remote_addresses`).
- One asyncio thread follows all of them. Each is asked every `LOOK_SECONDS` for its screens, and
  the time of a question without an answer is the round trip.
- An address that cannot be reached keeps its machines, with the reason and the time of the next
  attempt. The time between two attempts doubles, up to `MAX_PAUSE`.
- A sender is not trusted: at most `MAX_SCREENS` of its screens are shown, and a name that is not a
  screen's (`kju.remote.addresses.check_screen`) is dropped.
- A connection is shared with its user, which shows the machines' pictures and reports their state.
- A remote machine is opened through a mirror of it, a process that ends with the app.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from ...client import launching
from ...client.machine import Machine
from ...errors import KjuError, UsageError
from ...escaping import one_line
from ...remote import addresses
from ...remote.transport import Engine
from .entry import MachineEntry, MachineKey, MachineState
from .machine_queues import MachineQueues
from .remote_addresses import (
    MAX_ADDRESSES,
    RemoteAddress,
    address_fault,
    addresses_folder,
    read_addresses,
    write_addresses,
)

#: Screens of one address, the first ones by name; and the names that are read: the network's order
#: of names may change, and the screens of a wall must not.
MAX_SCREENS, _MAX_NAMES = 256, 4096
#: Seconds between two questions to an address, and for its answer.
LOOK_SECONDS, _ANSWER_SECONDS = 5.0, 4.0
#: Seconds for which an address must serve nothing, before its machines are dropped.
EMPTY_SECONDS = 5.0
#: Seconds until the next attempt, at first and at most.
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
#: Characters of a reason.
_MAX_REASON = 300
#: A key that no sender has: the question for it measures the round trip.
_NOBODY = addresses.presence("kju-round-trip")


class ScreenNews(NamedTuple):
    """The state of a remote screen, as its session has it.

    Attributes:
        paused: The machine is paused.
        reason: Why the present picture is missing; empty if it is not. From the sender: escape it.
    """

    paused: bool = False
    reason: str = ""


class ConnectionUser(Protocol):
    """The user of the connections. It is called in their event loop."""

    def opened(self, address: RemoteAddress, engine: Engine) -> None:
        """Use a new connection until `closing`."""

    async def closing(self, connect: str) -> None:
        """End the use of a connection, which closes after this."""

    def forget(self, key: MachineKey) -> None:
        """Forget a machine that does not exist any more; called on any thread."""


class RemoteMachines:
    """The machines that other computers serve. Used on the toolkit's thread.

    Args:
        post: Calls a function on the toolkit's thread, from any thread.
        update: Takes a new or changed entry.
        discard: Takes the key of an entry that no longer exists.
        folder: The folder of the remembered addresses; None for the user's state folder.
        user: The user of the connections.

    Attributes:
        addresses: The addresses.
        fault: Why the addresses could not be read or remembered; empty otherwise.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        update: Callable[[MachineEntry], None],
        discard: Callable[[MachineKey], None],
        folder: Path | None = None,
        user: ConnectionUser | None = None,
    ) -> None:
        self.addresses: list[RemoteAddress] = []
        self.fault = ""
        self._post, self._update, self._discard = post, update, discard
        self._folder = folder or addresses_folder()
        self._entries: dict[MachineKey, MachineEntry] = {}
        self._news: dict[MachineKey, ScreenNews] = {}
        self._user = user
        self._follower = _Follower(self._take_from_thread, user)
        self._files = MachineQueues("kju-remote-file", 1)
        self._mirrors: dict[MachineKey, Machine] = {}
        self._mirror_lock = threading.Lock()

    def open(self) -> None:
        """Read the remembered addresses on a thread, then follow them."""

        def read() -> None:
            found, fault = list[RemoteAddress](), ""
            try:
                found = read_addresses(self._folder)
            except KjuError as error:
                fault = one_line(str(error), _MAX_REASON)
            self._post(lambda: self._take_addresses(found, fault))

        self._files.submit("file", read)

    def _take_addresses(self, found: list[RemoteAddress], fault: str) -> None:
        self.fault = fault
        have = {address.connect for address in self.addresses}
        for address in found:
            if address.connect not in have:
                self.addresses.append(address)
                self._follower.follow(address)

    def add(self, address: RemoteAddress) -> str:
        """Follow another address and remember it; return why not, or an empty text."""
        if why := address_fault(address):
            return why
        if any(each.connect == address.connect for each in self.addresses):
            return f"{address.connect} is there already"
        if len(self.addresses) >= MAX_ADDRESSES:
            return f"at most {MAX_ADDRESSES} addresses can be followed; remove one first"
        self.addresses.append(address)
        self._follower.follow(address)
        self._remember()
        return ""

    def remove(self, connect: str) -> None:
        """Forget an address and its machines."""
        self.addresses = [each for each in self.addresses if each.connect != connect]
        self._follower.leave(connect)
        for key in [key for key in self._entries if key.host == connect]:
            self._forget(key)
        self._remember()

    def entries_of(self, connect: str) -> list[MachineEntry]:
        """Return the newest entries of an address; an empty list while it is not known."""
        return [entry for key, entry in self._entries.items() if key.host == connect]

    def retry(self, connect: str) -> None:
        """Try an unreachable address now."""
        self._follower.retry(connect)

    def _remember(self) -> None:
        """Write the addresses on a thread."""
        addresses = list(self.addresses)

        def write() -> None:
            fault = ""
            try:
                write_addresses(self._folder, addresses)
            except KjuError as error:
                fault = one_line(f"addresses are not remembered: {error}", _MAX_REASON)
            self._post(lambda: setattr(self, "fault", fault))

        self._files.submit("file", write)

    def _take_from_thread(self, connect: str, entries: list[MachineEntry]) -> None:
        self._post(lambda: self._take(connect, entries))

    def _take(self, connect: str, entries: list[MachineEntry]) -> None:
        """Replace the entries of an address."""
        if all(each.connect != connect for each in self.addresses):
            return  # it was removed meanwhile
        new = {entry.key for entry in entries}
        for key in [key for key in self._entries if key.host == connect and key not in new]:
            self._forget(key)
        for entry in entries:
            self._entries[entry.key] = entry
            self._update(_with_news(entry, self._news.get(entry.key)))

    def _forget(self, key: MachineKey) -> None:
        del self._entries[key]
        self._news.pop(key, None)
        self._discard(key)
        if self._user is not None:
            self._user.forget(key)

    def set_news(self, key: MachineKey, news: ScreenNews) -> None:
        """Take the state of a screen that has a picture."""
        self._news[key] = news
        if (entry := self._entries.get(key)) is not None:
            self._update(_with_news(entry, news))

    # ---- Mirrors

    def mirror(self, key: MachineKey) -> str:
        """Return the name of a local mirror of a remote machine; start one if it is missing.

        It waits: call it on an action's thread.

        Raises:
            KjuError: The screen is not served, or this user may not see it.
        """
        address = next((each for each in self.addresses if each.connect == key.host), None)
        if address is None:
            raise UsageError(f"{key.host} is not one of the followed addresses")
        with self._mirror_lock:
            found = self._mirrors.get(key)
            if found is not None and found.is_alive:
                return found.name
            options = address.options()
            made = launching.mirror(
                f"{addresses.SCHEME}{key.name}",
                connect=[str(each) for each in options.connect],
                user=address.user or None,
                insecure=address.insecure,
            )
            self._mirrors[key] = made
            return made.name

    def close(self) -> None:
        """End the following and the mirrors."""
        self._follower.close()
        self._files.close()
        mirrors, self._mirrors = list(self._mirrors.values()), {}
        for mirror in mirrors:
            with contextlib.suppress(KjuError):
                mirror.close()


# ---- The thread


class _Follower:
    """Follows addresses on one asyncio thread.

    Args:
        take: Called on that thread with an address and all entries of it.
        user: Uses the connections.
    """

    def __init__(
        self,
        take: Callable[[str, list[MachineEntry]], None],
        user: ConnectionUser | None,
    ) -> None:
        self._take, self._user = take, user
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._retries: dict[str, asyncio.Event] = {}

    def follow(self, address: RemoteAddress) -> None:
        self._start()
        self._call(lambda: self._begin(address))

    def leave(self, connect: str) -> None:
        self._call(lambda: self._end(connect))

    def retry(self, connect: str) -> None:
        def wake() -> None:
            if (event := self._retries.get(connect)) is not None:
                event.set()

        self._call(wake)

    def _call(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has closed
                self._loop.call_soon_threadsafe(call)

    def _start(self) -> None:
        """Start the thread with the first address: without any it costs nothing."""
        if self._thread is None:
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(ready)), name="kju-remote", daemon=True
            )
            self._thread.start()
            ready.wait()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        # An address that does not answer occupies a thread for seconds.
        self._loop.set_default_executor(
            ThreadPoolExecutor(MAX_ADDRESSES, thread_name_prefix="kju-remote")
        )
        self._closing = asyncio.Event()
        ready.set()
        await self._closing.wait()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        if self._thread is not None:
            self._call(lambda: self._closing.set())
            # zenoh's calls end within their own time limits, and nobody waits for their results.
            self._thread.join(2.0)

    def _begin(self, address: RemoteAddress) -> None:
        self._end(address.connect)
        self._retries[address.connect] = asyncio.Event()
        self._tasks[address.connect] = asyncio.ensure_future(self._follow(address))

    def _end(self, connect: str) -> None:
        self._retries.pop(connect, None)
        if (task := self._tasks.pop(connect, None)) is not None:
            task.cancel()

    async def _follow(self, address: RemoteAddress) -> None:
        """Connect, look, and connect again, until this is cancelled."""
        known: list[MachineEntry] = []
        pause = FIRST_PAUSE
        while True:
            try:
                engine = await Engine.open(address.options())
            except KjuError as error:
                reason = str(error)
            else:
                try:
                    if self._user is not None:
                        self._user.opened(address, engine)
                    reason, known, looked = await self._look(engine, address, known)
                finally:
                    if self._user is not None:
                        await self._user.closing(address.connect)
                    await engine.close()
                pause = FIRST_PAUSE if looked else pause
            known = unreachable(address.connect, known, reason, time.time() + pause)
            self._take(address.connect, known)
            await self._pause(address.connect, pause)
            pause = min(2 * pause, MAX_PAUSE)

    async def _pause(self, connect: str, seconds: float) -> None:
        event = self._retries.get(connect)
        if event is None:
            return
        event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    async def _look(
        self, engine: Engine, address: RemoteAddress, known: list[MachineEntry]
    ) -> tuple[str, list[MachineEntry], bool]:
        """Ask for the screens until the connection is lost.

        Returns:
            The reason, the last entries, and whether there was an answer.
        """
        looked, began_empty = False, math.inf
        while True:
            if not await asyncio.to_thread(engine.is_connected):
                return "the connection was lost", known, looked
            began = time.monotonic()
            await asyncio.to_thread(engine.find_tokens, _NOBODY, _ANSWER_SECONDS, 1)
            round_trip = time.monotonic() - began
            if round_trip >= _ANSWER_SECONDS:
                return f"no answer in {_ANSWER_SECONDS:g} s", known, looked
            everything = addresses.presence("**")
            tokens = await asyncio.to_thread(
                engine.find_tokens, everything, _ANSWER_SECONDS, _MAX_NAMES
            )
            found = served(address.connect, tokens.keys, round_trip)
            if not tokens.is_complete:
                found = with_known(found, known)
            # An empty answer may be of a connection that is being opened or lost.
            began_empty = math.inf if found else min(began_empty, began)
            if found or began - began_empty >= EMPTY_SECONDS:
                known = found
            self._take(address.connect, known)
            looked = True
            await asyncio.sleep(LOOK_SECONDS)


# ---- Entries


def served(connect: str, keys: Iterable[str], round_trip: float) -> list[MachineEntry]:
    """Return the entries of the screens that an address serves.

    Args:
        connect: The address.
        keys: zenoh's keys of their tokens, as received.
        round_trip: Seconds to the sender and back.
    """
    names = sorted({name for key in keys if (name := addresses.screen_of(key))})
    dropped = len(names) - MAX_SCREENS
    warning = (f"it serves more than {MAX_SCREENS} screens: the others are not shown",)
    # Rounded: an entry that only changes in a digit nobody reads would be drawn again.
    rounded = round(round_trip, 4) if round_trip < 0.01 else round(round_trip, 3)
    return [
        MachineEntry(
            MachineKey(connect, name),
            MachineState.RUNNING,
            warnings=warning if dropped > 0 and not index else (),
            round_trip=rounded,
            screens=1,
        )
        for index, name in enumerate(names[:MAX_SCREENS])
    ]


def with_known(found: list[MachineEntry], known: list[MachineEntry]) -> list[MachineEntry]:
    """Return the entries of an incomplete answer: a screen without an answer stays as it was."""
    have = {entry.key for entry in found}
    # The address itself has an entry only while no machine is known.
    silent = [each for each in known if each.key not in have and each.key.name != each.key.host]
    return [*found, *silent][:MAX_SCREENS] or known


def _with_news(entry: MachineEntry, news: ScreenNews | None) -> MachineEntry:
    """Return an entry with the state that its session has."""
    if news is None or entry.state is MachineState.UNREACHABLE:
        return entry
    warnings = entry.warnings
    if news.reason:
        warnings = *warnings, one_line(f"no live picture: {news.reason}", _MAX_REASON)
    state = MachineState.PAUSED if news.paused else entry.state
    return entry._replace(state=state, warnings=warnings)


def unreachable(
    connect: str, known: list[MachineEntry], reason: str, next_try: float
) -> list[MachineEntry]:
    """Return the entries of an address that cannot be reached.

    Without a known machine the address itself has one, so that it is visible.
    """
    known = known or [MachineEntry(MachineKey(connect, connect), MachineState.UNREACHABLE)]
    return [
        entry._replace(
            state=MachineState.UNREACHABLE,
            reason=one_line(reason, _MAX_REASON),
            round_trip=None,
            next_try=next_try,
        )
        for entry in known
    ]
