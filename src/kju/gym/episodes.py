"""The episodes of several machines of this computer, and threads that step them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from gymnasium import Space

from ..errors import UsageError
from .episode import EnvOptions, Episode, MachineSource

_R = TypeVar("_R")
#: The reward; whether the episode has ended, and whether it was truncated; the info.
Step: TypeAlias = tuple[float, bool, bool, dict[str, Any]]
#: A truth value for each machine.
Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Episodes(Protocol):
    """The episodes of a vector environment, by the numbers of its machines.

    Attributes:
        space: The space of one observation.
        action_space: The space of one action.
        over: True for each machine whose next episode is due; the first one begins with a reset.
    """

    space: Space[Any]
    action_space: Space[Any]
    over: Flags

    def begin(self, numbers: Sequence[int], slots: Sequence[Any]) -> list[dict[str, Any]]:
        """Begin an episode in some machines; write the observations; return the infos."""

    def advance(
        self, actions: Sequence[Any], slots: Sequence[Any], last: Sequence[Any], *, begins: bool
    ) -> list[Step]:
        """Step every machine, and write its observation.

        Args:
            actions: The action of each machine, in the space.
            slots: The memory of the observations.
            last: The last observations.
            begins: Begin the next episode where it is due, instead of a step.
        """

    def render(self) -> tuple[Any, ...]:
        """Return the screens."""

    def close(self) -> None:
        """Close the machines that were opened here."""


class LocalEpisodes:
    """The episodes of machines that this process has attached to.

    Args:
        machines: The machines, each as for `Env`.
        options: The options of the environment.
        at_once: See `VectorEnv`.

    Attributes:
        space: The space of one observation.
        action_space: The space of one action.
        over: True for each machine whose next episode is due.

    Raises:
        UsageError: An option is not valid, or the machines have screens of different sizes.
        MachineNotFoundError: No machine of a name is running.
    """

    def __init__(
        self, machines: Iterable[MachineSource], options: EnvOptions, at_once: int | None
    ) -> None:
        check_at_once(at_once)
        self._episodes: list[Episode] = []
        try:
            for machine in machines:
                self._episodes.append(Episode(machine, options))
            self.space: Space[Any] = common_space([each.observer.space for each in self._episodes])
        except BaseException:
            self._close_all()
            raise
        self.action_space: Space[Any] = self._episodes[0].actions.space
        self.over: Flags = np.zeros(len(self._episodes), np.bool_)
        self._threads = EpisodeThreads(self._episodes, at_once)

    def begin(self, numbers: Sequence[int], slots: Sequence[Any]) -> list[dict[str, Any]]:
        """Begin an episode in some machines: see `Episodes.begin`."""
        return self._threads.run(lambda number: self._begin(number, slots[number]), numbers)

    def _begin(self, number: int, slot: Any) -> dict[str, Any]:  # noqa: ANN401
        info = self._episodes[number].reset(slot)
        self.over[number] = False
        return info

    def advance(
        self, actions: Sequence[Any], slots: Sequence[Any], last: Sequence[Any], *, begins: bool
    ) -> list[Step]:
        """Step every machine: see `Episodes.advance`."""

        def work(number: int) -> Step:
            if begins and self.over[number]:
                return 0.0, False, False, self._begin(number, slots[number])
            result = self._episodes[number].step(actions[number], slots[number], last[number])
            # Here, because the step of another machine may fail.
            self.over[number] = result[1] or result[2]
            return result

        waits = self._episodes[0].waits or (begins and self.over.any())
        numbers = range(len(self._episodes))
        # Without waits: one after the other takes less time than a thread's start.
        return self._threads.run(work, numbers) if waits else [work(number) for number in numbers]

    def render(self) -> tuple[Any, ...]:
        """Return the screens."""
        return tuple(episode.render() for episode in self._episodes)

    def close(self) -> None:
        """Close the machines that were opened here."""
        self._threads.close()
        self._close_all()

    def _close_all(self) -> None:
        with ExitStack() as stack:  # one that fails does not leave the others open
            for episode in self._episodes:
                stack.callback(episode.close)


class EpisodeThreads:
    """Threads that step and reset machines at the same time.

    Args:
        episodes: The episodes.
        at_once: The machines that step at the same time. By default all; as many as this process
            has processors if a step is wrong for a guest that shares one.
    """

    def __init__(self, episodes: Sequence[Episode], at_once: int | None) -> None:
        needs = any(episode.needs_processor for episode in episodes)
        default = len(os.sched_getaffinity(0)) if needs else len(episodes)
        self._pool = ThreadPoolExecutor(at_once or default, thread_name_prefix="kju-gym")

    def run(self, work: Callable[[int], _R], numbers: Sequence[int]) -> list[_R]:
        """Do the work of machines; raise the first error when all have ended."""
        futures = [self._pool.submit(work, number) for number in numbers]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def check_at_once(at_once: int | None) -> None:
    """Check the number of machines that step at the same time.

    Raises:
        UsageError: It is below 1.
    """
    if at_once is not None and at_once < 1:
        raise UsageError(f"at_once is a number of machines, 1 or more, not {at_once!r:.40}")


def common_space(spaces: Sequence[Space[Any]]) -> Space[Any]:
    """Return the space of the observations of all machines.

    Raises:
        UsageError: The sequence is empty, or the spaces differ.
    """
    if not spaces:
        raise UsageError("a vector environment needs at least one machine")
    if len({str(space) for space in spaces}) > 1:
        raise UsageError(
            "the screens of the machines differ in size: give size=(WIDTH, HEIGHT), to which"
            " they are scaled"
        )
    return spaces[0]


def slot(batch: Any, number: int) -> Any:  # noqa: ANN401  of the space
    """Return the part of a batch that belongs to one machine, a view."""
    if isinstance(batch, dict):
        return {name: array[number] for name, array in batch.items()}
    return batch[number]


def copy_observation(to: Any, what: Any) -> None:  # noqa: ANN401  of the space
    """Copy one observation to another place."""
    if isinstance(to, dict):
        for name, array in to.items():
            np.copyto(array, what[name])
    else:
        np.copyto(to, what)
