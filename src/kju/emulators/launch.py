"""SHELL: launching an emulator of any kind.

Each kind (`kju.protocol.values`) is a folder with two modules:

- ``launch`` with ``prepare(request)``, which returns a `Prepared`;
- ``emulator`` with ``create(claim, prepared)``, which returns an `Emulator`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ..errors import ConflictError, UsageError
from ..protocol.launch_options import Launch
from ..store.claims import Claim
from .base import Emulator


class Prepared(Protocol):
    """A checked launch of one kind."""

    @property
    def request(self) -> Launch:
        """The request that was checked."""

    @property
    def default_name(self) -> str:
        """A name, or a file's path to take it from, for a machine that was given none."""


class _LaunchModule(Protocol):
    def prepare(self, request: Launch) -> Prepared: ...


class _EmulatorModule(Protocol):
    def create(self, claim: Claim, prepared: Prepared) -> Emulator: ...


def prepare(request: Launch) -> Prepared:
    """Check a launch as far as possible without starting anything.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read, or the surface's folder is missing.
        EmulatorError: The emulator's program is missing or unusable.
    """
    if any("\0" in argument for argument in request.arguments):
        raise ConflictError("an argument holds a zero byte")
    _check_surface(request.surface)
    return cast("_LaunchModule", _module(request, "launch")).prepare(request)


def create(claim: Claim, prepared: Prepared) -> Emulator:
    """Make the emulator of a prepared launch; may take seconds, to try out an accelerator."""
    return cast("_EmulatorModule", _module(prepared.request, "emulator")).create(claim, prepared)


def _module(request: Launch, name: str) -> object:
    # Imported only for machines of this kind: the others' modules take time and memory. The name
    # is one of `KINDS`, by the message's type.
    return import_module(f".{request.emulator}.{name}", __package__)


def _check_surface(path: str) -> None:
    """Refuse a surface whose folder is missing; an existing file is checked when it is opened."""
    if path and not Path(path).parent.is_dir():
        parent = Path(path).parent
        raise UsageError(
            f"the surface {path} cannot be made: there is no folder {parent}; make it first"
        )
