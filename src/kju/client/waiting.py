"""The part of the blocking half that is written by hand: it sleeps, and starts processes.

`kju.client.aio.waiting` has the same names for asyncio; `tools/generate_sync.py` lists them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, ParamSpec, Self, TypeVar, overload

from ..errors import ClosedError, FormatError, MachineGoneError, WaitTimeoutError
from ..protocol.messages import Done, Subscribe
from ..surface import Change, Mark, State
from ..surface.consumer import next_wait
from .consumer.base import SurfaceBase
from .link import Link, deadline_of
from .processes import HostProcess
from .requests import Event, event_of, no_event

_LIVE = (State.LIVE.value, State.PAUSED.value)

P = ParamSpec("P")
T = TypeVar("T")
ScreenT = TypeVar("ScreenT", bound=SurfaceBase)


def sleep(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def run_blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that may take long."""
    return function(*args, **kwargs)


def connection(link: Link) -> AbstractContextManager[Link]:
    """Return a connection for one call: the machine's own."""
    return contextlib.nullcontext(link)


def open_serial(descriptor: int) -> socket.socket:
    """Return the socket of a serial port; takes ownership of the descriptor."""
    return socket.socket(fileno=descriptor)


class SleepingSurface(SurfaceBase):
    """A surface whose waits sleep on its futex; other threads run meanwhile."""

    def _next_change(self, mark: Mark, seconds: float | None) -> Change:
        """Sleep until pixels change after a mark: see `kju.Surface.wait`."""
        deadline = deadline_of(seconds)
        consumer = self._consumer
        reader, state = consumer.reader, consumer.reader.state_code
        milliseconds = next_wait(time.monotonic(), deadline)
        if (
            milliseconds is not None
            and state in _LIVE
            and mark.incarnation == consumer.incarnation
            and not self._memory.mapping.guarded
            and not self.closed
        ):
            # The usual case: the producer is alive, so sleep without a check before. A failure is
            # found by the check after this sleep, at most half a second later. Of fifty viewers of
            # one screen each saves a quarter of its time.
            try:
                version = mark.version
                change = reader.wait_changes(version, mark.epoch, version, state, milliseconds)
            except FormatError:
                pass  # the check below finds the state of the memory
            else:
                if change is not None:
                    return change
        while True:
            reader = self._consumer.reader
            version, state = reader.version, reader.state_code
            checked = self._check(mark, deadline, seconds)
            if isinstance(checked, Change):
                return checked
            mapping, reader = self._memory.mapping, self._consumer.reader
            epoch = self._consumer.epoch_of(mark)
            try:
                # From here to the return is the latency of a woken program: its caches are cold,
                # and each name that is looked up or released costs a microsecond.
                change = reader.wait_changes(mark.version, epoch, version, state, checked)
            except FormatError:
                continue  # the next check finds the state of the memory
            if change is not None and not mapping.lost:
                return change  # the file's size is checked when the next wait begins

    def wait_news(self, mark: Mark, cursor: int, state: State, *, seconds: float) -> bool:
        """Sleep until the pixels, the cursor or the state change; for viewers, which show all.

        Args:
            mark: The mark of the pixels that are shown.
            cursor: `Cursor.version` of the cursor that is shown.
            state: The state that is shown.
            seconds: Return after this time in any case.

        Returns:
            True after a change; also, at most half a second late, when another surface has
            replaced this one. False after *seconds*.

        Raises:
            ClosedError: This process has closed the surface.
        """
        deadline = deadline_of(seconds)
        while True:
            consumer = self._open()
            reader = consumer.reader
            if consumer.incarnation != mark.incarnation or reader.epoch != mark.epoch:
                return True
            milliseconds = next_wait(time.monotonic(), deadline)
            if milliseconds is None:
                return False
            if reader.wait(mark.version, cursor, state, milliseconds):
                return True


class Screens(Sequence[ScreenT], Generic[ScreenT]):
    """A machine's screens, one per console, each opened when it is first used."""

    def __init__(self, link: Link, open_screen: Callable[[Link, int], ScreenT]) -> None:
        self._link = link
        self._open_screen = open_screen
        self._open: list[ScreenT | None] = [None] * link.welcome.consoles

    @classmethod
    def of(cls, link: Link, open_screen: Callable[[Link, int], ScreenT]) -> Self:
        """Return the screens of a machine, all of them still closed."""
        return cls(link, open_screen)

    def __len__(self) -> int:
        return len(self._open)

    @overload
    def __getitem__(self, index: int) -> ScreenT: ...
    @overload
    def __getitem__(self, index: slice) -> list[ScreenT]: ...
    def __getitem__(self, index: int | slice) -> ScreenT | list[ScreenT]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        screen = self._open[index]
        if screen is None:
            screen = self._open_screen(self._link, range(len(self))[index])
            # Two threads may open it at once; one of the two screens is kept.
            screen = self._open[index] = self._open[index] or screen
        return screen

    def close(self) -> None:
        """Close the screens that are open."""
        for screen in self._open:
            if screen is not None:
                screen.close()


class Events(Iterator[Event]):
    """The events of a machine, on a connection of their own: see `kju.Machine.events`.

    The host closes that connection if the program takes no events for long. After an error, also
    after a timeout, the next event can be awaited.
    """

    def __init__(self, name: str, client: str, since: int | None, timeout: float | None) -> None:
        self._timeout = timeout
        self._link = Link.attach(name, "view", client)
        try:
            self._link.ask(Subscribe(since=-1 if since is None else since), Done)
        except BaseException:
            self._link.close()
            raise

    def __next__(self) -> Event:
        try:
            return event_of(self._link.next_event(deadline_of(self._timeout)))
        except WaitTimeoutError as error:
            raise no_event(self._link.name, self._timeout) from error
        except (MachineGoneError, ClosedError):
            self.close()
            raise StopIteration from None

    def close(self) -> None:
        """End the subscription. A second call does nothing."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self._link.close()


subscribe = Events


# ---- The host process


def reap(child: HostProcess, seconds: float) -> None:
    """Wait for the end of a host; kill it after *seconds*."""
    import subprocess

    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        # Its own limits are shorter, so it hangs. The kernel kills its QEMU with it.
        child.kill()
        child.wait()
