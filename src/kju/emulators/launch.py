"""SHELL: everything decided before anything runs: what will run, and where its surface will be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..errors import ConflictError, UsageError
from ..protocol.messages import Launch
from ..store.claims import Claim
from .base import Emulator


class Prepared(Protocol):
    """A launch that may be tried."""

    def emulator(self, claim: Claim) -> Emulator:
        """What will draw the machine's screens. May take seconds, of trying things out."""


def prepare(request: Launch) -> Prepared:
    """Check a launch as far as that can be done without starting a guest.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read, or the surface's folder is not there.
        EmulatorError: There is no QEMU that will do, or no Xvfb.
    """
    if any("\0" in argument for argument in request.arguments):
        raise ConflictError("an argument holds a zero byte")
    _check_surface(request.surface)
    # What one of them needs the other's machines do not pay for.
    if request.emulator == "xvfb":
        from .xvfb.launch import prepare_xvfb

        return prepare_xvfb(request)
    if request.emulator == "mirror":
        from .mirror.emulator import prepare_mirror

        return prepare_mirror(request)
    from .qemu.launch import prepare_qemu

    return prepare_qemu(request)


def _check_surface(path: str) -> None:
    """Refuse a place where no surface can be; what is there already its maker looks at."""
    if path and not Path(path).parent.is_dir():
        parent = Path(path).parent
        raise UsageError(f"the surface {path} cannot be made: {parent} is no folder; make it first")


def surface_address(request: Launch, name: str) -> Callable[[int], str]:
    """Where the surface of a console of the machine *name* is to be made, by its index."""

    def address(index: int) -> str:
        if not request.surface:
            return f"memfd:kju-{name}-{index}"[:200]
        return request.surface + (f".{index}" if index else "")

    return address
