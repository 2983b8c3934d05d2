"""Resets: the ways back to the begin of an episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..client.machine import Machine
from ..client.requests import snapshot_request
from ..client.surface import Screen

if TYPE_CHECKING:
    from ..client.forks import ForkBase


class Reset(Protocol):
    """Return a machine in its first state: the same machine, or another in its place."""

    def __call__(self, machine: Machine, /) -> Machine:
        """Reset a machine.

        Args:
            machine: The environment's machine.

        Returns:
            The machine of the next episode. If it is another one, the environment owns it, and
            closes the old one if it owned that.
        """


class SnapshotReset:
    """Load a snapshot of the machine.

    Args:
        tag: Its name.

    Raises:
        UsageError: It is not a valid name.
    """

    def __init__(self, tag: str) -> None:
        snapshot_request("load", tag)  # checks the name
        self._tag = tag

    def __call__(self, machine: Machine) -> Machine:
        """Load it.

        Raises:
            UsageError: The machine has no such snapshot; the message lists those that it has.
            QemuError: QEMU failed; the machine is paused then.
        """
        machine.snapshots.load(self._tag)
        return machine


class RebootReset:
    """Reset the machine as its reset button does, and wait until the guest is ready.

    Args:
        ready: Waits for the guest, for example ``lambda screen: screen.wait_text("login:")``.
    """

    def __init__(self, ready: Callable[[Screen], object]) -> None:
        self._ready = ready

    def __call__(self, machine: Machine) -> Machine:
        """Reset it, with the guest running."""
        machine.resume()
        machine.reset()
        machine.screen.set_rate(None)
        self._ready(machine.screen)
        return machine


class RevertReset:
    """Return the machine to its base: the last one that it was frozen as, or is a fork of.

    The machine stays the same one, with its name and its clients: see `kju.Machine.revert`.
    """

    def __call__(self, machine: Machine) -> Machine:
        """Revert it.

        Raises:
            ForkError: The machine has no base; freeze it first.
        """
        machine.revert()
        return machine


class ForkReset:
    """Begin each episode in a new fork of a base; the fork before it ends.

    Args:
        base: The base: see `kju.Machine.freeze`. With a spare fork a reset takes milliseconds.
    """

    def __init__(self, base: ForkBase[Machine]) -> None:
        self._base = base

    def __call__(self, machine: Machine) -> Machine:
        """Fork it.

        Raises:
            ForkError: The base is damaged.
            ClosedError: The base is closed.
        """
        return self._base.fork()


def as_reset(reset: str | Reset | None) -> Reset:
    """Return a reset: a name is that of a snapshot; None leaves the machine as it is."""
    if isinstance(reset, str):
        return SnapshotReset(reset)
    return reset or _unchanged


def _unchanged(machine: Machine) -> Machine:
    return machine
