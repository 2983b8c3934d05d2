"""The origin of a surface whose producer's end the test decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from kju.client.consumer.origin import AddressOrigin
from kju.memory import SharedMemory, open_fd
from kju.surface import ProducerIdentity


class KnownEnd(AddressOrigin):
    """A surface by descriptor; *reason* returns why its producer has gone."""

    def __init__(
        self,
        number: int,
        reason: Callable[[], str | None] = lambda: None,
        hold: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        super().__init__(f"fd:{number}", segment=open_fd(number))
        self._reason, self._held = reason, hold

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        return self._reason()

    def hold(self) -> AbstractContextManager[None] | None:
        return self._held() if self._held else None
