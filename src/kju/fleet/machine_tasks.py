"""SHELL: a function that runs beside machines of a fleet, in processes of Ray on their nodes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import KjuError, MachineLostError, UnavailableError
from .actors import alive_nodes, keeper_name
from .connecting import NAMESPACE
from .near import run_near

#: Seconds until Ray has noticed the loss of a node, and for an answer of a keeper meanwhile.
_NOTICED, _ANSWER = 30.0, 2.0


class Start(Protocol):
    """One start of a machine: see `kju.fleet.FleetMachine`."""

    @property
    def name(self) -> str:
        """The machine."""

    @property
    def node(self) -> str:
        """Its node."""

    @property
    def generation(self) -> int:
        """The number of the start."""


class Controller(Protocol):
    """A fleet's controller: see `kju.fleet.cluster.FleetLink`."""

    fleet: str

    def ask(self, what: str, *arguments: object) -> Any:  # noqa: ANN401  any method's result
        """Call a method of the controller that does not wait."""


class MachineTasks:
    """The tasks of one function.

    Args:
        link: The fleet.
        function: The function, which gets a machine.
        machines: The machines of tasks in threads.
        threads: Run the tasks of each node in threads of one process.
    """

    def __init__(
        self,
        link: Controller,
        function: Callable[[Any], Any],
        machines: Sequence[Start] = (),
        *,
        threads: bool = False,
    ) -> None:
        self._link, self._function = link, function
        # Once for all tasks: it is a question to Ray's head.
        self._nodes = alive_nodes()
        self._task = ray.remote(run_near)
        self._workers = self._start_workers(machines) if threads else None

    def _start_workers(self, machines: Sequence[Start]) -> dict[str, Any]:
        """Start a process for the tasks of each node, with a thread for each of its machines."""
        count = Counter(machine.node for machine in machines if machine.node in self._nodes)
        return {
            node: ray.remote(_TaskThreads)
            .options(num_cpus=0, max_concurrency=many, scheduling_strategy=self._only_on(node))
            .remote()
            for node, many in count.items()
        }

    def _only_on(self, node: str) -> NodeAffinitySchedulingStrategy:
        return NodeAffinitySchedulingStrategy(self._nodes[node]["NodeID"], soft=False)

    def start(self, machine: Start) -> Any:  # noqa: ANN401  Ray's reference to the result
        """Start the task of a machine, on its node; return its reference.

        Raises:
            MachineLostError: The node has left.
        """
        if machine.node not in self._nodes:
            raise self._node_left(machine)
        place = machine.name, f"{self._link.fleet}/{machine.node}", machine.generation
        if self._workers is not None:
            return self._workers[machine.node].run.remote(self._function, *place)
        # Never twice: the guest has seen the input of the first time.
        where = self._only_on(machine.node)
        task = self._task.options(max_retries=0, scheduling_strategy=where)
        return task.remote(self._function, *place)

    def result(self, task: Any, machine: Start) -> Any:  # noqa: ANN401  Ray's own types
        """Return the result of a task that is done.

        Raises:
            MachineLostError: The machine is no longer on its node.
            Exception: The function's own, or Ray's for a worker that has ended.
        """
        try:
            return ray.get(task)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, MachineLostError):
                raise self._known_loss(error.cause, machine) from None
            if isinstance(error.cause, KjuError):
                raise error.cause from None
            raise
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError) as error:
            raise self._node_left(machine) from error
        except ray.exceptions.RayActorError as error:
            # The process of the threads, which ends with its node or by itself.
            if not self._has_left(machine.node, error):
                raise
            raise self._node_left(machine) from error

    def _has_left(self, node: str, error: Exception) -> bool:
        """Return whether a node has left; wait until Ray has noticed, if that is not known."""
        deadline = time.monotonic() + _NOTICED
        while node in alive_nodes():
            # The process has ended for certain, or its node answers.
            is_known = not isinstance(error, ray.exceptions.ActorUnavailableError)
            if is_known or self._answers(node) or time.monotonic() >= deadline:
                return False
        return True

    def _answers(self, node: str) -> bool:
        """Return whether the keeper of a node answers."""
        try:
            keeper = ray.get_actor(keeper_name(self._link.fleet, node), NAMESPACE)
            ray.get(keeper.at_hand.remote((), None), timeout=_ANSWER)
        except (ValueError, ray.exceptions.RayError):
            time.sleep(_ANSWER / 4)
            return False
        return True

    def _known_loss(self, error: MachineLostError, machine: Start) -> MachineLostError:
        """Return an error of a node with the time and the reason, if the controller has them."""
        try:
            known: MachineLostError = self._link.ask("lost", machine.name, machine.generation)
        except UnavailableError:
            return error
        return known if known.when is not None else error

    def _node_left(self, machine: Start) -> MachineLostError:
        text = f"the node {machine.node} of {machine.name!r} has left"
        error = MachineLostError(text, machine.name, machine.generation, machine.node)
        return self._known_loss(error, machine)


class _TaskThreads:
    """A process that runs functions with machines of its node, each in a thread."""

    def run(self, function: Callable[[Any], Any], name: str, holder: str, generation: int) -> Any:  # noqa: ANN401
        """Run a function: see `run_near`."""
        return run_near(function, name, holder, generation)


def tasks_done(references: Iterable[Any]) -> list[Any]:
    """Return the references whose tasks are done; none if none is within a second."""
    several = list(references)
    done, running = ray.wait(several, num_returns=1, timeout=1.0)
    if done and running:
        more, _ = ray.wait(running, num_returns=len(running), timeout=0)
        done += more
    return list(done)


def send_by_value(module: ModuleType | None) -> None:
    """Let Ray send the functions of a module by value: other computers may not have the module."""
    if module is not None:
        untyped: Any = ray.cloudpickle
        untyped.register_pickle_by_value(module)
