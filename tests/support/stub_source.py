"""The smallest complete source: one black picture."""

from __future__ import annotations

from kju.sources.base import OnStatus, Phase, Source, SourceStatus
from kju.surface.producer import Producer


class StubSource(Source):
    """Publishes one black picture."""

    def __init__(
        self,
        producer: Producer,
        on_status: OnStatus | None = None,
        *,
        size: tuple[int, int] = (640, 480),
        name: str = "stub",
    ) -> None:
        super().__init__(producer, name, on_status)
        self._name = name
        self._size = size

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self._size

    def _begin(self) -> None:
        self.retarget(self.producer)
        self._set_status(SourceStatus(Phase.RUNNING, self._name))

    def stop(self) -> None:
        """End."""
        self._set_status(SourceStatus(Phase.ENDED, self._name))

    def retarget(self, producer: Producer) -> None:
        """Publish the picture in another surface."""
        self.producer = producer
        producer.set_mode(*self.size)
        producer.set_state(self.live_state)

    def set_paused(self, paused: bool) -> None:
        """Publish the new state at once: there is no guest to pause."""
        super().set_paused(paused)
        self.producer.set_state(self.live_state)
