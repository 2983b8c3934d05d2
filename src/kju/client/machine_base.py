"""What is known of a machine without waiting, for threads and for asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ..protocol.framing import no_screen
from ..protocol.messages import Welcome
from ..protocol.values import Role
from ..store.paths import Paths
from .timeouts import seconds_of

if TYPE_CHECKING:
    import subprocess


class AnyLink(Protocol):
    """A connection to a host, whoever waits for its answers."""

    name: str
    welcome: Welcome
    default_timeout: float | None

    def gone(self) -> str | None:
        """Why the machine is known to have ended, or None."""


LinkT = TypeVar("LinkT", bound=AnyLink)
ScreenT = TypeVar("ScreenT")
KeyboardT = TypeVar("KeyboardT")
PointerT = TypeVar("PointerT")


class MachineBase(Generic[LinkT, ScreenT, KeyboardT, PointerT]):
    """One running machine. Use it as a context manager, or `close` it.

    Attributes:
        name: Its name.
        role: What this client may do: ``view`` or ``control``.
        screens: What its consoles show.
        owned: Whether the machine ends when this object is closed or this program ends.
    """

    name: str
    role: Role
    screens: Sequence[ScreenT]
    owned: bool

    def __init__(
        self,
        link: LinkT,
        screens: Sequence[ScreenT],
        keyboard: type[KeyboardT],
        pointer: type[PointerT],
        child: subprocess.Popen[bytes] | None,
    ) -> None:
        self.name = link.name
        self.role = link.welcome.role
        self.screens = screens
        self.owned = child is not None
        self._link = link
        self._keyboard = keyboard
        self._pointer = pointer
        self._child = child

    @property
    def screen(self) -> ScreenT:
        """What the first console shows.

        Raises:
            UsageError: The machine has no graphic console.
        """
        if not self.screens:
            raise no_screen(self.name)
        return self.screens[0]

    @property
    def keyboard(self) -> KeyboardT:
        """The first console's keyboard; also of a machine without a screen."""
        make: type = self._keyboard
        keyboard: KeyboardT = make(self._link, 0)
        return keyboard

    @property
    def pointer(self) -> PointerT:
        """The first console's pointer."""
        make: type = self._pointer
        pointer: PointerT = make(self._link, 0)
        return pointer

    @property
    def default_timeout(self) -> float | None:
        """Seconds that a call on this machine may take if it is given no timeout.

        None for no limit; 30 at first. It holds for the machine's screens, its snapshots and the
        host's answers.
        """
        return self._link.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._link.default_timeout = seconds_of(seconds, None)

    @property
    def host_pid(self) -> int:
        """The number of the process that runs the machine."""
        return self._link.welcome.pid

    @property
    def _paths(self) -> Paths:
        """The machine's files, which are removed when it ends."""
        return Paths(Path(self._link.welcome.folder))

    @property
    def log(self) -> Path:
        """The path of the host's log, which is removed when the machine ends."""
        return self._paths.host_log

    @property
    def is_alive(self) -> bool:
        """True until the machine has ended, or was closed here."""
        return self._link.gone() is None

    @property
    def end_reason(self) -> str | None:
        """The reason why the machine has ended; None while it is alive."""
        return self._link.gone()

    def __repr__(self) -> str:
        return f"<Machine {self.name!r} {self.role}{', owned' if self.owned else ''}>"
