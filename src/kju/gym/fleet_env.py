"""Machines of a fleet as one vector environment of Gymnasium.

A process on each node steps the node's machines: it reads their screens from shared memory, and
evaluates the rewards there. Actions are sent to the nodes; the observations of a node return as one
array. So pass a small ``size``.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from gymnasium import Space
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from ..errors import MachineLostError, UnavailableError, UsageError
from ..fleet.messages import END_TIME, LEASE, FleetState
from .env import check_render_mode
from .episode import EnvOptions, check_options
from .episodes import Flags, Step, check_at_once, common_space, copy_observation, slot
from .node_episodes import Lost, NodeEpisodes
from .observing import observation_space
from .vector_env import EpisodesEnv, mode_of

if TYPE_CHECKING:
    from ..fleet.beside import NodeObject
    from ..fleet.opening import FleetMachine

#: Seconds between two looks at a machine that is started again.
_LOOK = 0.2
#: Seconds after which a lost machine would have been placed again.
_GIVE_UP = LEASE + END_TIME + 3


class FleetVectorEnv(EpisodesEnv):
    """Machines of a fleet as one vector environment: `VectorEnv` over nodes.

    The functions `reward` and `ended`, `actions`, `stepping` and `reset` run on the nodes.

    If a machine is lost, its episode is truncated with the last observation, and the info has the
    reason as ``lost``. Its next episode begins in the machine's next start; the environment waits
    for that. So launch the machines with ``max_restarts``.

    Args:
        machines: The machines, as `kju.fleet.Fleet.launch` returns them.
        autoreset_mode: See `VectorEnv`.
        at_once: The machines of a node that step or are reset at the same time.
        copy: Return new arrays. Otherwise the next step overwrites the observations.
        render_mode: ``rgb_array``, or None.
        restart_timeout: Seconds to wait for the next start of a lost machine.
        **options: See `EnvOptions`. A `ForkReset` has a base of one computer: use `RevertReset`.

    Raises:
        UsageError: An option is not valid, or the machines have screens of different sizes.
        MachineLostError: A machine is no longer on its node.
    """

    def __init__(
        self,
        machines: Iterable[FleetMachine],
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        at_once: int | None = None,
        copy: bool = True,
        render_mode: str | None = "rgb_array",
        restart_timeout: float = 120.0,
        **options: Unpack[EnvOptions],
    ) -> None:
        mode, render = mode_of(autoreset_mode), check_render_mode(render_mode)
        episodes = FleetEpisodes(machines, options, at_once, restart_timeout)
        super().__init__(episodes, autoreset_mode=mode, copy=copy, render_mode=render)
        self._fleet_episodes = episodes

    @property
    def machines(self) -> list[FleetMachine]:
        """The present start of each machine."""
        return self._fleet_episodes.machines


class FleetEpisodes:
    """The episodes of a fleet's machines, each on the machine's node: see `Episodes`.

    Args:
        machines: The machines.
        options: The options of the environment.
        at_once: The machines of a node that step at the same time.
        restart_timeout: Seconds to wait for the next start of a lost machine.

    Attributes:
        machines: The present start of each machine.
        space: The space of one observation.
        action_space: The space of one action.
        over: True for each machine whose next episode is due.

    Raises:
        UsageError: An option is not valid, or the machines have screens of different sizes.
        MachineLostError: A machine is no longer on its node.
    """

    def __init__(
        self,
        machines: Iterable[FleetMachine],
        options: EnvOptions,
        at_once: int | None,
        restart_timeout: float,
    ) -> None:
        from ..fleet.opening import FleetMachine  # it needs Ray

        check_at_once(at_once)
        check_options(options)
        self.machines: list[FleetMachine] = list(machines)
        if not all(isinstance(machine, FleetMachine) for machine in self.machines):
            raise UsageError("FleetVectorEnv needs machines of kju.fleet, as Fleet.launch returns")
        self.action_space: Space[Any] = options["actions"].space
        self.over: Flags = np.zeros(len(self.machines), np.bool_)
        self._options = options
        self._at_once = at_once
        self._restart_timeout = restart_timeout
        self._nodes: dict[str, NodeObject] = {}
        self._lost: dict[int, str] = {}
        try:
            opening = [
                (node := self._node_of(machine), node.begin("open", number, *_start(machine), None))
                for number, machine in enumerate(self.machines)
            ]
            sizes = [node.result(reference) for node, reference in opening]
            kind = options.get("observation", "rgb")
            self.space: Space[Any] = common_space([observation_space(kind, s) for s in sizes])
        except BaseException:
            self.close()
            raise
        self._size: tuple[int, int] = sizes[0]

    def _node_of(self, machine: FleetMachine) -> NodeObject:
        """Return the object on a machine's node."""
        from ..fleet.beside import NodeObject

        if machine.node not in self._nodes:
            self._nodes[machine.node] = NodeObject(
                machine, NodeEpisodes, self._options, self._at_once
            )
        return self._nodes[machine.node]

    # ---- The episodes

    def begin(self, numbers: Sequence[int], slots: Sequence[Any]) -> list[dict[str, Any]]:
        """Begin an episode in some machines: see `Episodes.begin`.

        Raises:
            MachineLostError: A machine was lost and is not started again, or not in time.
        """
        deadline = time.monotonic() + self._restart_timeout
        infos: dict[int, dict[str, Any]] = {}
        while waiting := [number for number in numbers if number not in infos]:
            self._reopen(waiting, deadline)
            for number, result in self._call("begin", waiting, lambda these: (these,), slots):
                if isinstance(result, Lost):
                    self._lost[number] = result.reason
                else:
                    infos[number] = result
                    self.over[number] = False
        return [infos[number] for number in numbers]

    def advance(
        self, actions: Sequence[Any], slots: Sequence[Any], last: Sequence[Any], *, begins: bool
    ) -> list[Step]:
        """Step every machine: see `Episodes.advance`.

        Raises:
            ResetNeeded: A machine was lost, and its next episode does not begin by itself.
            MachineLostError: A machine was lost and is not started again, or not in time.
        """
        due = [int(number) for number in np.flatnonzero(self.over)] if begins else []
        lost = {number: reason for number, reason in self._lost.items() if number not in due}
        if waiting := [number for number in lost if self.over[number]]:
            machine = self.machines[waiting[0]]
            raise ResetNeeded(f"{machine.name!r} was lost: call reset() ({lost[waiting[0]]})")
        self._reopen(due, time.monotonic() + self._restart_timeout)

        def arguments(these: list[int]) -> tuple[object, object]:
            step = {number: actions[number] for number in these if number not in due}
            return step, [number for number in these if number in due]

        numbers = range(len(self.machines))
        # In the order in which a node returns them.
        order = [number for number in numbers if number not in due and number not in lost] + due
        results = self._call("advance", order, arguments, slots)
        steps: dict[int, Step] = {}
        again: list[int] = []
        for number, result in [*results, *((n, Lost(reason)) for n, reason in lost.items())]:
            if not isinstance(result, Lost):
                steps[number] = result
                self.over[number] = result[1] or result[2]
                continue
            self._lost[number] = result.reason
            if number in due:
                again.append(number)
                continue
            copy_observation(slots[number], last[number])
            steps[number] = 0.0, False, True, {"lost": result.reason}
            self.over[number] = True
        for number, info in zip(again, self.begin(again, slots), strict=True):
            steps[number] = 0.0, False, False, info
        return [steps[number] for number in numbers]

    def render(self) -> tuple[Any, ...]:
        """Return the screens; that of a lost machine is black."""
        width, height = self._size
        found = dict.fromkeys(range(len(self.machines)), np.zeros((height, width, 3), np.uint8))
        present = [number for number in found if number not in self._lost]
        for number, result in self._call("render", present, lambda these: (these,), None):
            if not isinstance(result, Lost):
                found[number] = result
        return tuple(found.values())

    def close(self) -> None:
        """Disconnect from the machines, and end the processes on their nodes."""
        with ExitStack() as stack:
            for node in self._nodes.values():
                stack.callback(node.close)
        self._nodes.clear()

    def _call(
        self,
        method: str,
        numbers: Sequence[int],
        arguments: Callable[[list[int]], tuple[object, ...]],
        slots: Sequence[Any] | None,
    ) -> list[tuple[int, Any]]:
        """Call a method on all nodes at the same time; return each machine's number and result.

        Args:
            method: Of `NodeEpisodes`.
            numbers: The machines.
            arguments: Makes the arguments of a node from the numbers of its machines.
            slots: Where the observations are written; None for a method that returns none.

        Raises:
            Exception: The first error of a node, when all have answered.
        """
        by_node = defaultdict(list)
        for number in numbers:
            by_node[self.machines[number].node].append(number)
        calls = [
            (name, these, self._nodes[name].begin(method, *arguments(these)))
            for name, these in by_node.items()
        ]
        results: list[tuple[int, Any]] = []
        errors: list[Exception] = []
        for name, these, reference in calls:
            try:
                answer = self._nodes[name].result(reference)
            except MachineLostError as error:
                self._forget(name, str(error))
                results += [(number, Lost(str(error))) for number in these]
                continue
            except Exception as error:
                errors.append(error)
                continue
            if slots is None:
                results += zip(these, answer, strict=True)
                continue
            batch, each = answer
            for place, number in enumerate(these):
                if not isinstance(each[place], Lost):
                    copy_observation(slots[number], slot(batch, place))
                results.append((number, each[place]))
        if errors:
            raise errors[0]
        return results

    # ---- Lost machines

    def _forget(self, node: str, reason: str) -> None:
        """Forget a node whose process has ended; its machines may run or not."""
        self._nodes.pop(node).close()
        every = [number for number, machine in enumerate(self.machines) if machine.node == node]
        self._lost |= {number: reason for number in every if number not in self._lost}

    def _reopen(self, numbers: Iterable[int], deadline: float) -> None:
        """Connect to the next starts of those machines that were lost."""
        for number in numbers:
            while number in self._lost:
                machine = self._running(self.machines[number], deadline)
                try:
                    node = self._node_of(machine)
                    node.result(node.begin("open", number, *_start(machine), self._size))
                except MachineLostError as error:
                    if (known := self._nodes.get(machine.node)) is not None and known.ended:
                        self._forget(machine.node, str(error))
                    # The fleet has not noticed the loss yet, or it was lost again.
                    if time.monotonic() >= deadline:
                        raise
                    time.sleep(_LOOK)
                else:
                    self.machines[number] = machine
                    del self._lost[number]

    def _running(self, machine: FleetMachine, deadline: float) -> FleetMachine:
        """Wait until a machine runs; return this start of it."""
        from ..fleet.beside import start_of

        began = time.monotonic()
        while True:
            now = time.monotonic()
            reason = "the fleet's controller does not answer"
            try:
                status = machine.status()
            except UnavailableError:
                pass  # it is being restarted
            else:
                if status.state is FleetState.RUNNING:
                    return start_of(machine, status)
                reason = f"it is {status.state.value}: {status.reason}"
                is_over = status.state is FleetState.LOST and now >= began + _GIVE_UP
                if is_over or status.state is FleetState.ENDED:
                    now = deadline
            if now >= deadline:
                raise MachineLostError(
                    f"{machine.name!r} does not run again; {reason}; launch machines with"
                    " max_restarts, or make another environment",
                    machine.name, machine.generation, machine.node,
                )  # fmt: skip
            time.sleep(_LOOK)


def _start(machine: FleetMachine) -> tuple[str, int]:
    return machine.name, machine.generation
