"""The episodes of a fleet's machines on one node: an object that lives there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from gymnasium.vector.utils import create_empty_array

from ..errors import KjuError, MachineGoneError, WaitTimeoutError
from ..fleet.near import attach_start
from .episode import EnvOptions, Episode
from .episodes import EpisodeThreads, Step, slot

_R = TypeVar("_R")
#: Seconds in which the end of a machine is noticed after an error that came of it.
_END = 2.0


class Lost(NamedTuple):
    """A machine was lost, in place of its result.

    Attributes:
        reason: The reason.
    """

    reason: str


class NodeEpisodes:
    """The episodes of the machines of one node, by their numbers in the environment.

    An observation is memory of this object. The observations of one call are returned as one array.

    Args:
        holder: The fleet and the node: ``FLEET/NODE``.
        options: The options of the environment.
        at_once: The machines of this node that step at the same time: see `VectorEnv`.
    """

    def __init__(self, holder: str, options: EnvOptions, at_once: int | None) -> None:
        self._holder = holder
        self._options = options
        self._at_once = at_once
        self._episodes: dict[int, Episode] = {}
        self._slots: dict[int, Any] = {}
        self._threads: EpisodeThreads | None = None

    def open(
        self, number: int, name: str, generation: int, size: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Connect to a machine.

        Args:
            number: Its number in the environment.
            name: Its name.
            generation: Its start.
            size: Width and height of the observation; None for those of the present screen, or the
                option ``size``.

        Returns:
            Width and height of the observation.

        Raises:
            MachineLostError: This start of the machine is not on this node.
            UsageError: An option is not valid.
        """
        attach = partial(attach_start, name, self._holder, generation)
        episode = Episode(attach, self._options, screen_size=size)
        self._episodes[number] = episode
        self._slots[number] = slot(create_empty_array(episode.observer.space, 1), 0)
        if self._threads is not None:
            self._threads.close()
        self._threads = EpisodeThreads([*self._episodes.values()], self._at_once)
        return episode.observer.size

    def begin(self, numbers: Sequence[int]) -> tuple[Any, list[dict[str, Any] | Lost]]:
        """Begin an episode in some machines.

        Returns:
            Their observations; the info of each, or that it was lost.
        """
        return self._observed(numbers, self._run(self._begin, numbers))

    def advance(
        self, actions: Mapping[int, Any], due: Sequence[int]
    ) -> tuple[Any, list[Step | Lost]]:
        """Step some machines, and begin the next episode in others.

        Args:
            actions: The action of each machine to step.
            due: The machines whose next episode is due.

        Returns:
            The observations of the stepped and the due machines; the result of each step, or the
            loss of its machine.
        """

        def step(number: int) -> Step:
            memory = self._slots[number]
            return self._episodes[number].step(actions[number], memory, memory)

        def work(number: int) -> Step:
            if number in actions:
                return step(number)
            return 0.0, False, False, self._begin(number)

        numbers = [*actions, *due]
        waits = bool(due) or any(episode.waits for episode in self._episodes.values())
        return self._observed(numbers, self._run(work, numbers, waits=waits))

    def render(self, numbers: Sequence[int]) -> list[Any]:
        """Return the screens, each ``(height, width, 3)``, R G B, or that the machine was lost."""
        return self._run(lambda number: self._episodes[number].render(), numbers)

    def close(self) -> None:
        """Release the keys, let the guests run, and disconnect."""
        if self._threads is not None:
            self._threads.close()
        with ExitStack() as stack:
            for episode in self._episodes.values():
                stack.callback(episode.close)

    def _begin(self, number: int) -> dict[str, Any]:
        return self._episodes[number].reset(self._slots[number])

    def _run(
        self, work: Callable[[int], _R], numbers: Sequence[int], *, waits: bool = True
    ) -> list[_R | Lost]:
        def guarded(number: int) -> _R | Lost:
            return self._unless_lost(number, work)

        if self._threads is None or not waits:
            return [guarded(number) for number in numbers]
        return self._threads.run(guarded, numbers)

    def _unless_lost(self, number: int, work: Callable[[int], _R]) -> _R | Lost:
        machine = self._episodes[number].machine
        try:
            result = work(number)
        except KjuError as error:
            if not isinstance(error, MachineGoneError):
                with suppress(WaitTimeoutError):
                    machine.wait_ended(timeout=_END)
                if machine.is_alive:
                    raise
            reason = str(error)
        else:
            machine = self._episodes[number].machine
            # A step that sends nothing reads the last picture of a machine that has ended.
            if machine.is_alive:
                return result
            reason = machine.end_reason or "it has ended"
        with suppress(KjuError):
            self._episodes.pop(number).close()
        return Lost(reason)

    def _observed(self, numbers: Sequence[int], results: list[Any]) -> tuple[Any, list[Any]]:
        slots = [self._slots[number] for number in numbers]
        if isinstance(slots[0], dict):
            return {name: np.stack([each[name] for each in slots]) for name in slots[0]}, results
        return np.stack(slots), results
