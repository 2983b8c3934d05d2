"""SHELL: an object on a node of a fleet, beside its machines: an actor of Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import KjuError, MachineLostError
from .actors import alive_nodes
from .messages import MachineStatus
from .opening import FleetMachine

#: Seconds for an object's `close`.
CLOSE_TIMEOUT = 30.0


class NodeObject:
    """An object on the node of a machine. It ends with this program, or with its node.

    Args:
        machine: A machine of the node.
        make: Makes the object there, from the holder ``FLEET/NODE`` of the machines' leases and
            *arguments*; Ray sends all of them to the node.
        *arguments: More arguments of *make*.

    Attributes:
        ended: The object's process has ended, by itself or with its node.

    Raises:
        MachineLostError: The node has left.
    """

    def __init__(
        self,
        machine: FleetMachine,
        make: Callable[..., object],
        *arguments: object,
    ) -> None:
        self._machine = machine
        self.ended = False
        found = alive_nodes().get(machine.node)
        if found is None:
            raise self._lost("it has left")
        holder = f"{machine._link.fleet}/{machine.node}"
        strategy = NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
        # Not restarted: the object's state is in its process.
        actor = ray.remote(_ObjectProcess).options(
            num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy=strategy
        )
        self._actor: Any = actor.remote(make, holder, *arguments)

    def begin(self, method: str, *arguments: object) -> Any:  # noqa: ANN401  Ray's own type
        """Begin to call a method of the object; return a reference to the result."""
        return self._actor.call.remote(method, *arguments)

    def result(self, reference: Any) -> Any:  # noqa: ANN401
        """Wait for the result of a call, and return it.

        Raises:
            MachineLostError: The object's process has ended: see `ended`.
            Exception: The method's own.
        """
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, KjuError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            self.ended = True
            raise self._lost(f"a process there has ended: {error}") from error

    def close(self) -> None:
        """Close the object, and end its process."""
        if not ray.is_initialized():
            return  # it has ended with the program's connection; a call would start a cluster
        try:
            ray.get(self.begin("close"), timeout=CLOSE_TIMEOUT)
        except ray.exceptions.RayError:
            pass  # its process has ended, or is ended now
        ray.kill(self._actor)

    def _lost(self, why: str) -> MachineLostError:
        name, node = self._machine.name, self._machine.node
        text = f"the node {node} of {name!r} does not answer: {why}"
        return MachineLostError(text, name, self._machine.generation, node)


def start_of(machine: FleetMachine, status: MachineStatus) -> FleetMachine:
    """Return another start of a machine."""
    return FleetMachine(machine._link, status)


class _ObjectProcess:
    """The object's process.

    Args:
        make: Makes the object.
        *arguments: The arguments of *make*.
    """

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        self._object = make(*arguments)

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401  any method's result
        """Call a method of the object."""
        return getattr(self._object, method)(*arguments)
