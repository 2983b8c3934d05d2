"""Decides which source fills a console: the contract between a supervisor and its console's kind.

A `SourceKind` starts sources of one class. A `SourcePolicy` chooses one of them whenever the
supervisor needs a source. To add a source to an emulator, write a kind and name it in the
emulator's policy (for QEMU: `kju.emulators.qemu.sources.KINDS`).
"""

from __future__ import annotations

import abc

from ..memory import SurfaceProducer
from ..sources.base import OnStatus, Source, SourceStatus


class SourceKind(abc.ABC):
    """Starts the sources of one class for one console."""

    #: Whether the source keeps running while no client views the console.
    stays_at_rest = False

    @abc.abstractmethod
    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start a source.

        Args:
            producer: The producer to fill.
            on_status: Receives every new status, in any thread.
            paused: Whether the machine is paused.

        Raises:
            KjuError: The source cannot be started.
        """

    def is_replaceable(self) -> bool:
        """Return whether another source would help when a source of this kind has ended."""
        return True


class SourcePolicy(abc.ABC):
    """Chooses the source of one console."""

    @abc.abstractmethod
    def choose(self, last: SourceStatus) -> SourceKind:
        """Return the kind of source that is to fill the console now.

        Args:
            last: The last status of the source before.
        """


class SingleSource(SourcePolicy):
    """Chooses the same kind always."""

    def __init__(self, kind: SourceKind) -> None:
        self.kind = kind

    def choose(self, last: SourceStatus) -> SourceKind:
        """Return the only kind."""
        return self.kind
