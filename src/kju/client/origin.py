"""Origins of surfaces: an origin opens the memory and knows whether the producer is alive."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from ..errors import UnavailableError
from ..memory import SharedMemory, open_fd, open_memory
from ..memory.file import has_died
from ..protocol.messages import (
    Done,
    GetLive,
    GetSurface,
    HoldPublishing,
    LiveHandle,
    Refresh,
    ResumePublishing,
    SurfaceHandle,
)
from .link import Link, only_descriptor
from .timeouts import DEFAULT_SECONDS

if TYPE_CHECKING:
    from ..memory._system import Mapping
    from ..surface import ProducerIdentity

#: Milliseconds to hold a surface for a consistent copy: 33 MB, a 4K screen, take under 20.
HOLD = 50


class Origin(Protocol):
    """The producer's side of a surface, outside its memory.

    Attributes:
        follows: True if another surface may take this one's place: it is opened then.
        default_timeout: Seconds that a wait may take where none are given; None for no limit.
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
        """Return why the producer is known to be gone, or None. Never waits."""

    @property
    def ends_here(self) -> str | None:
        """The reason why no surface will follow this one, or None."""

    def hold(self) -> AbstractContextManager[None] | None:
        """Return a block during which the producer does not write; None if it can't be held."""

    @property
    def looks_live(self) -> bool:
        """True if this client may read the guest's own video memory."""

    def window(self) -> Mapping:
        """Return the guest's own video memory.

        Raises:
            UnavailableError: There is none.
            RoleError: This client only views.
        """

    def refresh(self) -> None:
        """Have the newest pixels published."""


class AddressOrigin:
    """A surface at an address, filled by a producer that is known by its process and lock.

    Args:
        address: A path, ``posix:/NAME``, ``sysv:ID`` or ``fd:NUMBER``.
        follow: Open the next surface at the address when the producer has gone.
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
        self._segment = segment

    def reopen(self) -> SharedMemory:
        """Open the memory at the address."""
        opened, self._segment = self._segment, None
        return opened or open_memory(self._address)

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Ask the system whether the producer's process lives."""
        if not has_died(producer, segment.fileno()):
            return None
        return f"the producer (process {producer.pid}) has died without closing"

    def hold(self) -> AbstractContextManager[None] | None:
        """Nobody can be asked to hold still."""
        return None

    def window(self) -> Mapping:
        """Raise: only machines have live windows."""
        raise UnavailableError("this surface has no live window")

    def refresh(self) -> None:
        """Do nothing: a producer publishes by itself."""


class LinkOrigin:
    """A console's surface, asked for over the machine's own connection.

    Args:
        link: The connection.
        console: The console's index.
    """

    follows = True

    def __init__(self, link: Link, console: int) -> None:
        self._link = link
        self._console = console

    @property
    def default_timeout(self) -> float | None:
        """The machine's."""
        return self._link.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._link.default_timeout = seconds

    def reopen(self) -> SharedMemory:
        """Ask the host for the console's surface.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """
        request = GetSurface(console=self._console)
        return open_fd(only_descriptor(self._link.call(request), SurfaceHandle))

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Return why the machine has ended, or None."""
        return self._link.gone()

    @property
    def ends_here(self) -> str | None:
        """The reason why the machine has ended: nothing follows its surface."""
        return self._link.gone()

    def hold(self) -> AbstractContextManager[None] | None:
        """Have the host keep the producer from writing; only the control role may."""
        return self._held() if self._link.welcome.role == "control" else None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        self._link.ask(HoldPublishing(console=self._console, milliseconds=HOLD), Done)
        try:
            yield
        finally:
            self._link.ask(ResumePublishing(console=self._console), Done)

    @property
    def looks_live(self) -> bool:
        """True for the control role: a client with that memory can write it."""
        return self._link.welcome.role == "control"

    def window(self) -> Mapping:
        """Ask the host for the memory of the live window."""
        answer = self._link.call(GetLive(console=self._console))
        return open_fd(only_descriptor(answer, LiveHandle)).mapping

    def refresh(self) -> None:
        """Have the host publish what QEMU has reported so far."""
        self._link.ask(Refresh(console=self._console, sync=False), Done)
