"""Origins of surfaces: an origin opens the memory and knows whether the producer is alive."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from ...errors import UnavailableError
from ...memory import SharedMemory, open_fd, open_memory
from ...memory.file import has_died
from ...protocol.messages import (
    Done,
    GetLive,
    GetSurface,
    HoldPublishing,
    LiveHandle,
    ResumePublishing,
    SurfaceHandle,
    Welcome,
)
from ..link import DEFAULT_SECONDS, Link, only_descriptor

if TYPE_CHECKING:
    from ...memory._system import Mapping
    from ...surface import ProducerIdentity

#: Milliseconds to hold a surface for a consistent copy: 33 MB, a 4K screen, take under 20.
_HOLD = 50


class Origin(Protocol):
    """The producer's side of a surface, outside its memory.

    Attributes:
        follows: True if another surface may replace this one: it is opened then.
        default_timeout: Seconds of a wait without a timeout; None for no limit.
    """

    follows: bool

    @property
    def default_timeout(self) -> float | None:
        """Seconds."""

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None: ...

    def reopen(self) -> SharedMemory:
        """Open the memory: the first time, and when the surface has been replaced."""

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Return why the producer is known to have ended, or None. Never waits."""

    @property
    def ends_here(self) -> str | None:
        """The reason why no surface will follow this one, or None."""

    def hold(self) -> AbstractContextManager[None] | None:
        """Return a context in which the producer does not write; None if it can't be held."""

    @property
    def looks_live(self) -> bool:
        """True if this client may read the guest's own video memory."""

    def window(self) -> Mapping:
        """Return the guest's own video memory.

        Raises:
            UnavailableError: The surface has no live window.
            RoleError: This client has the view role.
        """


class AddressOrigin:
    """The origin of a surface at an address; the producer is known by its process and its lock.

    Args:
        address: A path, ``posix:/NAME``, ``sysv:ID`` or ``fd:NUMBER``.
        follow: Open the next surface at the address after the producer's end.
        segment: The memory, if it is open already.
    """

    looks_live = False
    ends_here = None

    def __init__(
        self,
        address: str | os.PathLike[str],
        *,
        follow: bool = False,
        segment: SharedMemory | None = None,
    ) -> None:
        self.follows = follow
        self.default_timeout: float | None = DEFAULT_SECONDS
        self._address = address
        self._memory = segment

    def reopen(self) -> SharedMemory:
        """Open the memory at the address."""
        opened, self._memory = self._memory, None
        return opened or open_memory(self._address)

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Return why the producer's process is dead, or None."""
        if not has_died(producer, segment.fileno()):
            return None
        return f"the producer (process {producer.pid}) has died without closing"

    def hold(self) -> AbstractContextManager[None] | None:
        """Return None: a producer cannot be held by its address."""
        return None

    def window(self) -> Mapping:
        """Raise `UnavailableError`: only machines have live windows."""
        raise UnavailableError("this surface has no live window")


class AnyLink(Protocol):
    """The attributes of a connection that both halves have.

    Attributes:
        name: The machine's name.
        welcome: The host's first message.
        default_timeout: Seconds; None for no limit.
    """

    name: str
    welcome: Welcome
    default_timeout: float | None

    def gone(self) -> str | None:
        """Return why the machine is known to have ended, or None."""


class MachineOrigin:
    """The origin of a console's surface.

    Args:
        link: The machine's connection, for facts that need no request.
        console: The console's index.
        segment: The memory, as the host sent it first.
        connect: Returns a connection for requests of one call. Such a call may be made on any
            thread and does not return to an event loop: a larger surface, the live window, a copy
            that needs the producer held.
    """

    follows = True

    def __init__(
        self,
        link: AnyLink,
        console: int,
        segment: SharedMemory,
        connect: Callable[[], AbstractContextManager[Link]],
    ) -> None:
        self._link = link
        self._console = console
        self._memory: SharedMemory | None = segment
        self._connect = connect

    @property
    def default_timeout(self) -> float | None:
        """The machine's."""
        return self._link.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._link.default_timeout = seconds

    def reopen(self) -> SharedMemory:
        """Return the first memory; later ask the host for the console's surface.

        Raises:
            MachineGoneError: The machine has ended.
        """
        segment, self._memory = self._memory, None
        if segment is not None:
            return segment
        with self._connect() as link:
            answer = link.call(GetSurface(console=self._console))
            return open_fd(only_descriptor(answer, SurfaceHandle))

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Return why the machine has ended, or None."""
        return self._link.gone()

    @property
    def ends_here(self) -> str | None:
        """The reason why the machine has ended: no surface follows."""
        return self._link.gone()

    def hold(self) -> AbstractContextManager[None] | None:
        """Have the host hold the producer; only the control role may."""
        return self._held() if self.looks_live else None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with self._connect() as link:
            link.ask(HoldPublishing(console=self._console, milliseconds=_HOLD), Done)
            try:
                yield
            finally:
                link.ask(ResumePublishing(console=self._console), Done)

    @property
    def looks_live(self) -> bool:
        """True for the control role: a client with that memory can write it."""
        return self._link.welcome.role == "control"

    def window(self) -> Mapping:
        """Ask the host for the memory of the live window."""
        with self._connect() as link:
            answer = link.call(GetLive(console=self._console))
            return open_fd(only_descriptor(answer, LiveHandle)).mapping
