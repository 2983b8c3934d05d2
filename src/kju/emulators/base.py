"""What a machine needs of whatever draws its screens: QEMU, or an X server.

Rules an emulator obeys:

- `start` returns when its consoles are there; its end from then on, and during that, is told
  once through the callback given to it.
- After `end` nothing of it runs that it has started; after `close` no source does either.
- `end` and `close` are called once each, in this order, however far `start` has come.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import KjuError, UsageError
from ..surface import State

if TYPE_CHECKING:
    from .console import Console
    from .events import Tell
    from .input.keyboard import Keyboard
    from .qemu.qmp import Qmp
    from .qemu.serial import Serial
    from .qemu.snapshots import SnapshotStore


class Ending(NamedTuple):
    """Why a machine ends.

    Attributes:
        reason: In one line.
        asked: Whether somebody wanted it, so that the host's own status is 0.
        status: The emulator's exit status; None while it is not known.
    """

    reason: str
    asked: bool
    status: int | None = None


Ended = Callable[[Ending], None]


class Emulator(abc.ABC):
    """Draws the screens of one machine.

    Attributes:
        kind: ``qemu`` or ``xvfb``, for programs.
    """

    kind = ""

    def __init__(self) -> None:
        #: Is told what happens in the machine's life.
        self.tell: Tell = lambda event, data: None

    @property
    @abc.abstractmethod
    def consoles(self) -> Sequence[Console]:
        """What it shows; a client counts them from 0."""

    @property
    def paused(self) -> bool:
        """Whether the machine is."""
        return False

    @property
    def status(self) -> int | None:
        """Its exit status, once that is known."""
        return None

    @abc.abstractmethod
    async def start(self, ended: Ended) -> None:
        """Begin.

        Raises:
            KjuError: It does not run, or cannot be shown.
        """

    async def explain(self, error: KjuError) -> KjuError:
        """Make of *error* what the emulator itself says of its end, if it ends now."""
        return error

    @abc.abstractmethod
    async def powerdown(self) -> None:
        """Press the power button.

        Raises:
            KjuError: There is none, or it could not be pressed.
        """

    def _only_qemu(self, what: str) -> UsageError:
        return UsageError(f"only a machine of QEMU has {what}: this one is of kind {self.kind}")

    @property
    def qmp(self) -> Qmp:
        """The way to QEMU.

        Raises:
            UsageError: It is none, or has not greeted yet.
        """
        raise self._only_qemu("QMP")

    @property
    def snapshots(self) -> SnapshotStore:
        """The machine's snapshots.

        Raises:
            UsageError: It can have none.
        """
        raise self._only_qemu("snapshots")

    @property
    def serial(self) -> Serial:
        """The serial port that kju has added.

        Raises:
            UsageError: There is none.
        """
        raise self._only_qemu("a serial port")

    @property
    def screenless_keyboard(self) -> Keyboard | None:
        """The machine's keyboard where it has no console whose keyboard it would be."""
        return None

    def leave(self, client: object) -> None:  # noqa: B027  most have nothing of a client's
        """A client has gone."""

    @abc.abstractmethod
    async def end(self) -> None:
        """End what `start` has started."""

    async def close(self, state: State, reason: str) -> None:
        """Stop every source, say the last word and let go of everything."""
        for console in self.consoles:
            console.stop(state, reason)

    def say(self, state: State, reason: str) -> None:
        """Set every surface's state."""
        for console in self.consoles:
            console.producer.set_state(state, reason)

    def last_lines(self) -> list[str]:
        """What it printed last, without control characters."""
        return []

    @abc.abstractmethod
    def info(self) -> dict[str, Any]:
        """What there is to say of it alone; every value fits into JSON."""
