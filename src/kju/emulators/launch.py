"""SHELL: launches an emulator of any kind.

Each kind (`kju.protocol.values`) is a folder. Its module ``emulator`` has an `EmulatorFactory`,
named ``FACTORY``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import ConflictError, UsageError
from ..protocol.launch_options import Launch
from ..store.running import Claim
from .base import Emulator
from .events import MachineEvents


class Prepared(Protocol):
    """A checked launch of one kind."""

    @property
    def request(self) -> Launch:
        """The request that was checked."""

    @property
    def default_name(self) -> str:
        """A name, or a file's path to take it from, for a machine without a name."""

    def dry_run(self, name: str, /) -> dict[str, Any]:
        """Return the command and its reasons, ready for JSON; see `kju.protocol.dry_run`.

        Args:
            name: The machine's name.

        Raises:
            KjuError: The emulator cannot be started so.
        """


_PreparedT = TypeVar("_PreparedT", bound=Prepared)


@dataclass(frozen=True)
class EmulatorFactory(Generic[_PreparedT]):
    """The two steps to an emulator of one kind.

    Attributes:
        prepare: Checks a launch; see `prepare`.
        create: Makes the emulator of a checked launch.
    """

    prepare: Callable[[Launch, Collection[str]], _PreparedT]
    create: Callable[[Claim, _PreparedT, MachineEvents], Emulator]


def prepare(request: Launch, new_disks: Collection[str] = ()) -> Prepared:
    """Check a launch as far as possible without starting or making anything.

    Args:
        request: The launch.
        new_disks: Paths of disks that will be made before it starts; for a dry run only.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read, or the surface's folder is missing.
        EmulatorError: The emulator's program is missing or unusable.
    """
    if any("\0" in argument for argument in request.arguments):
        raise ConflictError("an argument holds a zero byte")
    _check_surface(request.surface)
    prepared: Prepared = _factory(request).prepare(request, new_disks)
    return prepared


def create(claim: Claim, prepared: Prepared, events: MachineEvents) -> Emulator:
    """Make the emulator of a checked launch; may take seconds, to try out an accelerator."""
    return _factory(prepared.request).create(claim, prepared, events)


def _factory(request: Launch) -> EmulatorFactory[Any]:
    # Imported only for machines of this kind: the others' modules take time and memory. The name
    # is one of `KINDS`, by the message's type.
    module = import_module(f".{request.emulator}.emulator", __package__)
    return cast("EmulatorFactory[Any]", module.FACTORY)


def _check_surface(path: str) -> None:
    """Refuse a surface whose folder is missing; an existing file is checked when it is opened."""
    if path and not Path(path).parent.is_dir():
        parent = Path(path).parent
        raise UsageError(
            f"the surface {path} cannot be made: the folder {parent} does not exist; make it first"
        )
