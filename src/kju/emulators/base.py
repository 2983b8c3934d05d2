"""The contract of an emulator: the source of a machine's screens, such as QEMU or an X server.

I/O-free. `CommandPlan` is an emulator's command line. The rules of an `Emulator`:

- `start` returns when the consoles exist. The emulator's end, during or after that, is reported
  once, through the callback given to it.
- After `end` nothing runs that the emulator started; after `close` no source runs either.
- `end` and `close` are called once each, in this order, however far `start` got.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import KjuError, UsageError
from ..protocol.forks import Frozen
from ..protocol.snapshots import SnapshotList
from ..protocol.stepping import StepGuest
from ..protocol.values import KINDS
from ..surface import Mark, State

if TYPE_CHECKING:
    import socket

    from ..store.forks.held_folder import HeldFolder
    from .console import Console
    from .events import MachineEvents
    from .input.keyboard import SharedKeyboard


class Ending(NamedTuple):
    """The reason for the end of a machine.

    Attributes:
        reason: In one line.
        asked: Whether the end was requested: then the host's own status is 0.
        status: The emulator's exit status; None while it is unknown.
    """

    reason: str
    asked: bool
    status: int | None = None


Ended = Callable[[Ending], None]


class Appended(NamedTuple):
    """Arguments that kju appends to the user's, and the reason."""

    arguments: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class CommandPlan:
    """The whole command line of an emulator.

    Attributes:
        user: The user's arguments, unchanged.
        appended: The arguments after them.
        notes: Further remarks for readers of ``kju info``.
    """

    user: tuple[str, ...] = ()
    appended: tuple[Appended, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """All arguments, in their order."""
        return [*self.user, *(a for part in self.appended for a in part.arguments)]

    def info(self) -> dict[str, Any]:
        """Return the appended arguments and the notes, for a machine's info."""
        return {
            "appended": [
                {"arguments": list(part.arguments), "reason": part.reason} for part in self.appended
            ],
            "notes": list(self.notes),
        }


class CommandChannel(Protocol):
    """A connection that takes QMP commands."""

    async def execute(self, command: str, arguments: dict[str, object] | None = None, /) -> Any:  # noqa: ANN401  JSON
        """Run a command and return its result."""


class SnapshotStore(Protocol):
    """The snapshots of a machine."""

    async def do(self, how: str, tag: str, /) -> SnapshotList:
        """Save, load or remove a snapshot."""

    async def listed(self) -> SnapshotList:
        """Return all snapshots."""


class FrozenBase(NamedTuple):
    """A new base of a machine.

    Attributes:
        reply: The answer to the client.
        held: Holds the base for the client; the caller releases it.
    """

    reply: Frozen
    held: HeldFolder


class ForkStore(Protocol):
    """The bases of a machine, from which it can be forked."""

    async def freeze(self, tag: str, /) -> FrozenBase:
        """Freeze the machine as a base, and let it go on."""

    async def remove(self, tag: str, /) -> None:
        """Stop holding a base: it is removed with its last fork."""


class CdDrive(Protocol):
    """The CD drive of a machine."""

    async def change(self, path: str, /) -> None:
        """Put a medium in the drive; an empty path ejects the old one."""


class Stepper(Protocol):
    """Runs a paused guest for a time."""

    async def step(self, client: Hashable, console: Console, request: StepGuest, /) -> Mark:
        """Run the guest, with input; return the mark of the screen of the paused guest."""


class SerialClient(Protocol):
    """A client that reads a serial port; compared by identity.

    Attributes:
        closed: Whether its connection has ended.
    """

    closed: bool


class SerialPort(Protocol):
    """A machine's serial port."""

    def view(self, client: SerialClient, /, *, writes: bool) -> socket.socket:
        """Return a socket through which a client reads the port, and writes to it if allowed."""


class Emulator(abc.ABC):
    """The source of the screens of one machine.

    Args:
        events: The machine's events.

    Attributes:
        kind: Its name in `kju.protocol.values.KINDS`.
    """

    kind = ""

    def __init__(self, events: MachineEvents) -> None:
        self.events = events

    @property
    @abc.abstractmethod
    def consoles(self) -> Sequence[Console]:
        """The screens; clients number them from 0."""

    @property
    def paused(self) -> bool:
        """True if the machine is paused."""
        return False

    @property
    def status(self) -> int | None:
        """The exit status, once it is known."""
        return None

    @abc.abstractmethod
    async def start(self, ended: Ended) -> None:
        """Start the emulator.

        Raises:
            KjuError: It does not run, or its screen cannot be shown.
        """

    async def explain(self, error: KjuError) -> KjuError:
        """Return *error*, with the emulator's own last output if it is ending now."""
        return error

    @abc.abstractmethod
    async def powerdown(self) -> None:
        """Press the power button.

        Raises:
            KjuError: The machine has no power button, or it could not be pressed.
        """

    def _unsupported(self, what: str) -> UsageError:
        with_guest = " or ".join(kind.title for kind in KINDS.values() if kind.has_guest)
        return UsageError(
            f"only a machine of {with_guest} has {what}: this one is of kind {self.kind}"
        )

    @property
    def qmp(self) -> CommandChannel:
        """The QMP connection.

        Raises:
            UsageError: The machine has no QMP connection, or it is not ready yet.
        """
        raise self._unsupported("QMP")

    @property
    def snapshots(self) -> SnapshotStore:
        """The machine's snapshots.

        Raises:
            UsageError: The machine has no snapshots.
        """
        raise self._unsupported("snapshots")

    @property
    def stepper(self) -> Stepper:
        """Runs the machine's paused guest for a time.

        Raises:
            UsageError: The machine has no guest that can be paused.
        """
        raise self._unsupported("lockstep")

    @property
    def forks(self) -> ForkStore:
        """The bases of the machine.

        Raises:
            UsageError: The machine cannot be forked.
        """
        raise self._unsupported("forks")

    async def revert(self) -> Emulator:
        """End this emulator, and return one of its base, which is not started.

        It shows on the same surfaces, to the same viewers; `begin` lets it run.

        Raises:
            UsageError: The machine has no base; the emulator runs on.
        """
        raise self._unsupported("forks")

    async def begin(self) -> None:
        """Let a spare machine run.

        Raises:
            UsageError: The machine is not a spare one.
        """
        raise self._unsupported("spares")

    @property
    def cd_drive(self) -> CdDrive:
        """The machine's CD drive.

        Raises:
            UsageError: The machine has no CD drive.
        """
        raise self._unsupported("a CD drive")

    @property
    def serial(self) -> SerialPort:
        """The serial port that kju has added.

        Raises:
            UsageError: The machine has no such port.
        """
        raise self._unsupported("a serial port")

    @property
    def screenless_keyboard(self) -> SharedKeyboard | None:
        """The keyboard of a machine without a console; None with one."""
        return None

    def leave(self, client: object) -> None:  # noqa: B027  most emulators hold nothing of a client
        """Release everything of a client that has disconnected."""

    @abc.abstractmethod
    async def end(self) -> None:
        """End everything that `start` has started."""

    def kill(self) -> None:  # noqa: B027  one that shows another host's machine has no process
        """Kill the emulator's process, without asking it to end; `end` still has to be called."""

    async def close(self, state: State, reason: str) -> None:
        """Stop every source, set the last state and release everything."""
        for console in self.consoles:
            console.stop(state, reason)

    def set_state(self, state: State, reason: str) -> None:
        """Set the state of every surface."""
        for console in self.consoles:
            console.producer.set_state(state, reason)

    def last_lines(self) -> list[str]:
        """Return the last lines of its output, without control characters."""
        return []

    @abc.abstractmethod
    def info(self) -> dict[str, Any]:
        """Return the emulator's part of a machine's info, ready for JSON."""
