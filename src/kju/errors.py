"""Every error kju raises.

The class says which side is at fault, the attributes carry the data, and the message says
what failed, on what, why, and the next step::

    KjuError
    ├── UsageError                   the call cannot be carried out
    │   ├── GeometryError            a rectangle or mode leaves the surface
    │   ├── ClosedError              the object is closed
    │   ├── ConflictError            arguments contradict each other
    │   ├── DefinitionError          a machine's definition is not valid
    │   └── RoleError                the role view does not permit the call
    ├── FormatError                  the bytes are not a surface that kju reads
    ├── MemoryLostError              mapped memory was truncated or ran out
    ├── LimitError                   a limit of the system is too low
    ├── FleetFullError               no node of a fleet has room for a machine
    ├── FileError                    a file could not be read, written or removed (also OSError)
    ├── ProducerGoneError            the producer has ended or closed the surface
    │   └── SupersededError          another surface has replaced this one
    ├── UnavailableError             the surface has no picture now
    │   └── FleetNotFoundError       the cluster has no fleet of this name
    ├── InconsistentError            no consistent frame could be copied in time
    ├── InputError                   the guest does not read its input
    ├── PowerButtonError             the guest cannot receive a press of its power button
    ├── NeedleError                  the file is not a needle that kju reads
    ├── MissingError                 an optional package is not installed
    ├── WaitTimeoutError             a wait timed out (also TimeoutError)
    │   └── kju.vision.ScreenTimeoutError   of the screen, with its last frame
    ├── PeerError                    the peer violated a protocol
    └── MachineError                 about one machine, by name
        ├── MachineNotFoundError
        ├── MachineExistsError
        ├── MachineGoneError         its host program has ended or disconnected
        │   └── MachineLostError     its node was lost, or it ended there by itself
        ├── ForkError                it cannot be frozen or forked, or a base is damaged
        └── EmulatorError            the emulator is missing or has ended
            ├── QemuError            QEMU is missing, too old, ended or failed
            └── XvfbError            Xvfb is missing, ended or failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self


class KjuError(Exception):
    """The root of all errors of kju.

    Attributes:
        option: The option of a launch, or the key of a definition, that a dry run found this error
            in; None if it is unknown.
    """

    option: str | None = None

    def about(self, option: str) -> Self:
        """Return this error, with the option that it is about."""
        self.option = option
        return self


class UsageError(KjuError):
    """The call cannot be carried out."""


class GeometryError(UsageError, ValueError):
    """A rectangle, byte range or mode lies outside the surface."""


class ClosedError(UsageError):
    """The object is closed."""


class ConflictError(UsageError):
    """Arguments contradict each other, or arguments that kju appends."""


class DefinitionError(UsageError):
    """A machine's definition is not valid; nothing was started or changed.

    Attributes:
        file: The file's path; None if it is unknown.
        line: The line, from 1; None if it is unknown.
        key: The key; None if the error is not about one.
    """

    def __init__(
        self,
        message: str,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.key = key


class RoleError(UsageError):
    """The call needs the role control; this client has the role view."""


class FormatError(KjuError):
    """The bytes are not a valid surface.

    Attributes:
        found: The value that was read.
        expected: The value of a valid surface.
    """

    def __init__(self, message: str, found: object = None, expected: object = None) -> None:
        super().__init__(message)
        self.found = found
        self.expected = expected


class MemoryLostError(KjuError):
    """Mapped memory is lost: the file was truncated, or its disk is full."""


class LimitError(KjuError):
    """A limit of the system is too low.

    Attributes:
        limit: Name of the limit, for example ``kernel.shmmax``.
        value: Its value.
        asked: The value that the call needs, in the same unit.
    """

    def __init__(self, message: str, limit: str, value: int, asked: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value
        self.asked = asked


class FleetFullError(KjuError):
    """No node of a fleet has room for a machine; the message names the missing resources.

    Attributes:
        lacking: What each node lacks, in words, by the name of the node.
    """

    def __init__(self, message: str, lacking: Mapping[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(message)
        self.lacking: dict[str, tuple[str, ...]] = dict(lacking or {})


class FileError(KjuError, OSError):
    """A file or folder could not be read, written or removed.

    Attributes:
        filename: Its path; None if it is unknown.
        errno: The number of the system's error; None without one.
    """

    def __init__(self, message: str, path: str | None = None, number: int = 0) -> None:
        super().__init__(message)
        self.filename: str | None = path
        self.errno: int | None = number or None

    def __str__(self) -> str:
        """The message, which names the file."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str | None, int]]:
        """Pickle all of the attributes, to send the error to another process."""
        return type(self), (str(self), self.filename, self.errno or 0)


class ProducerGoneError(KjuError):
    """The producer has closed the surface, or its process has ended."""


class SupersededError(ProducerGoneError):
    """Another surface has replaced this one at its address; open it again."""


class UnavailableError(KjuError):
    """The surface has no picture now; the message is the producer's reason."""


class FleetNotFoundError(UnavailableError):
    """The cluster has no fleet of this name.

    Attributes:
        others: The names of its fleets.
    """

    def __init__(self, message: str, others: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.others: tuple[str, ...] = tuple(others)


class InconsistentError(KjuError):
    """No consistent frame could be copied before the timeout."""


class NeedleError(KjuError):
    """The file is not a needle that kju reads.

    Attributes:
        path: The file, or the name of its bytes; None if it is unknown.
        field: The invalid part; None if the error is about the whole file.
    """

    def __init__(self, message: str, path: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.field = field


class MissingError(KjuError):
    """An optional package that the call needs is not installed; the message names it."""


class WaitTimeoutError(KjuError, TimeoutError):
    """A wait timed out."""


class InputError(KjuError):
    """The guest does not read its input: no driver takes keys from the keyboard."""


class PowerButtonError(KjuError):
    """The guest cannot receive a press of its power button; nothing was pressed."""


class PeerError(KjuError):
    """The peer violated the protocol of a connection.

    Attributes:
        received: The offending data, if known.
    """

    def __init__(self, message: str, received: object = None) -> None:
        super().__init__(message)
        self.received = received


class MachineError(KjuError):
    """An error of one machine.

    Attributes:
        name: The machine's name; None if it is unknown.
    """

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class MachineNotFoundError(MachineError):
    """No running machine, or no defined machine, has this name."""


class MachineExistsError(MachineError):
    """A running or defined machine already has this name."""


class MachineGoneError(MachineError):
    """The machine's host program has ended or disconnected."""


class MachineLostError(MachineGoneError):
    """A machine of a fleet was lost with its node, or failed there.

    Attributes:
        generation: Which start of the machine was lost.
        node: The node that it was on; None if it is unknown.
        when: When that was noticed, in seconds since the epoch; None if it is unknown.
        log: The last lines of the logs of its host and its emulator; empty if they are unknown.
    """

    def __init__(
        self,
        message: str,
        name: str | None = None,
        generation: int = 0,
        node: str | None = None,
        when: float | None = None,
        log: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, name)
        self.generation = generation
        self.node = node
        self.when = when
        self.log = log


class ForkError(MachineError):
    """The machine cannot be frozen or forked, or a base is damaged or fits another QEMU."""


class EmulatorError(MachineError):
    """The machine's emulator is missing, does not start, or has ended."""


class QemuError(EmulatorError):
    """QEMU is missing, too old, rejected its arguments, or ended."""


class XvfbError(EmulatorError):
    """Xvfb is missing, rejected its arguments, ended, or does not share its screen."""
