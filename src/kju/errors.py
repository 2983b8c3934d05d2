"""Every error kju raises.

The name says who is at fault, the attributes carry the data, the message says
what happened, to what, and what to do next::

    KjuError
    ├── UsageError                   you asked for something that cannot be
    │   ├── GeometryError            a rectangle or mode outside the surface
    │   ├── ClosedError              this process has closed it
    │   ├── ConflictError            arguments that contradict each other or kju
    │   ├── DefinitionError          a machine's file that is not right: file, line, key
    │   └── RoleError                a view client asked for control
    ├── FormatError                  these bytes are not a surface kju can read
    ├── MemoryLostError              the memory under a mapping was cut or ran out
    ├── LimitError                   a limit of the system is in the way
    ├── FileError                    a file could not be read, written or removed (also OSError)
    ├── ProducerGoneError            whoever filled the surface has died or closed it
    │   └── SupersededError          another surface has taken this one's address
    ├── UnavailableError             the surface says that it has no picture now
    ├── InconsistentError            no single version could be copied in the time given
    ├── InputError                   the guest does not take what was typed
    ├── PowerButtonError             the guest cannot receive a press of its power button
    ├── NeedleError                  a file is no needle that kju can read
    ├── MissingError                 a package that this needs is not installed
    ├── WaitTimeoutError             what was waited for did not happen (also TimeoutError)
    │   └── kju.vision.ScreenTimeoutError   on the screen, with what it showed
    ├── PeerError                    the other side broke a protocol
    └── MachineError                 about one machine, by name
        ├── MachineNotFoundError
        ├── MachineExistsError
        ├── MachineGoneError         its host has ended or hung up
        └── EmulatorError            what draws its screen
            ├── QemuError            QEMU is missing, too old, refused or ended
            └── XvfbError            Xvfb is missing, refused, ended or cannot be shown
"""

from __future__ import annotations


class KjuError(Exception):
    """The root of every error kju raises on purpose."""


class UsageError(KjuError):
    """The caller asked for something that cannot be done."""


class GeometryError(UsageError, ValueError):
    """A rectangle, byte range or mode lies outside what the surface holds."""


class ClosedError(UsageError):
    """This process has closed the object it now uses."""


class ConflictError(UsageError):
    """Arguments contradict each other, or what kju itself must append."""


class DefinitionError(UsageError):
    """A machine's definition is not right; nothing was started or changed.

    Attributes:
        file: The file's path.
        line: The line, from 1.
        key: The key; empty where there is none.
    """

    def __init__(self, message: str, file: str = "", line: int = 0, key: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.key = key


class RoleError(UsageError):
    """A client with the view role asked for something that needs control."""


class FormatError(KjuError):
    """Bytes that should be a surface are not.

    Attributes:
        found: What was read.
        expected: What a valid surface has there.
    """

    def __init__(self, message: str, found: object = None, expected: object = None) -> None:
        super().__init__(message)
        self.found = found
        self.expected = expected


class MemoryLostError(KjuError):
    """Memory under a mapping went away: the file was cut, or its disk is full."""


class LimitError(KjuError):
    """A limit of the system is in the way.

    Attributes:
        limit: Name of the limit, for example ``kernel.shmmax``.
        value: Its value.
        asked: What was asked for, in the same unit.
    """

    def __init__(self, message: str, limit: str, value: int, asked: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value
        self.asked = asked


class FileError(KjuError, OSError):
    """A file or folder could not be read, written or removed.

    Attributes:
        filename: Its path.
        errno: The number of the system's error; None without one.
    """

    def __init__(self, message: str, path: str = "", number: int = 0) -> None:
        super().__init__(message)
        self.filename = path
        self.errno: int | None = number or None

    def __str__(self) -> str:
        """The message, which names the file."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str, int]]:
        """Errors travel between processes."""
        return type(self), (str(self), str(self.filename), self.errno or 0)


class ProducerGoneError(KjuError):
    """The producer has closed the surface, or has died."""


class SupersededError(ProducerGoneError):
    """Another surface has taken this one's address; open it again."""


class UnavailableError(KjuError):
    """The surface has no picture now; the message is the producer's reason."""


class InconsistentError(KjuError):
    """No single published version could be copied in the time given."""


class NeedleError(KjuError):
    """A file is no needle that kju can read.

    Attributes:
        path: The file.
        field: What of it cannot be.
    """

    def __init__(self, message: str, path: str = "", field: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.field = field


class MissingError(KjuError):
    """Something that kju can do without, but not this, is not installed; the message says what."""


class WaitTimeoutError(KjuError, TimeoutError):
    """What was waited for did not happen in the time given."""


class InputError(KjuError):
    """The guest does not take what was typed: nothing in it reads the keyboard."""


class PowerButtonError(KjuError):
    """The guest cannot receive a press of its power button; nothing was pressed."""


class PeerError(KjuError):
    """The other side of a connection broke its protocol.

    Attributes:
        received: The offending data, as far as it is known.
    """

    def __init__(self, message: str, received: object = None) -> None:
        super().__init__(message)
        self.received = received


class MachineError(KjuError):
    """Something about one machine.

    Attributes:
        name: The machine's name.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class MachineNotFoundError(MachineError):
    """No machine has this name: none that runs, or none that is kept."""


class MachineExistsError(MachineError):
    """A machine has this name already: one that runs, or one that is kept."""


class MachineGoneError(MachineError):
    """The machine's host has ended or hung up."""


class EmulatorError(MachineError):
    """What draws a machine's screen is missing, does not start, or has ended."""


class QemuError(EmulatorError):
    """QEMU is missing, too old, refused its arguments, or ended."""


class XvfbError(EmulatorError):
    """Xvfb is missing, refused its arguments, ended, or does not share its screen."""
