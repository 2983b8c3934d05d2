"""SHELL: a program's side of a fleet on Ray: connects, starts the actors, asks them."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import (
    KjuError,
    MachineGoneError,
    MachineLostError,
    MachineNotFoundError,
    UnavailableError,
    UsageError,
)
from ..extras import require

require("fleet", "a fleet")

import ray  # noqa: E402  after the check, whose message names the extra
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from . import actors  # noqa: E402
from .actors import NAMESPACE, controller_name, keeper_name  # noqa: E402
from .images.files import file_identity  # noqa: E402
from .images.opening import open_image  # noqa: E402
from .images.source import FleetImage  # noqa: E402
from .messages import REPORT_INTERVAL, MachineSpec, MachineStatus  # noqa: E402

#: Seconds for an actor to start.
START_TIMEOUT = 120.0
#: Seconds for an answer of the controller that waits for nothing.
ANSWER_TIMEOUT = 30.0
_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class FleetLink:
    """A program's connection to a fleet; its machines end with it unless it is detached.

    Args:
        address: The address of a Ray cluster; ``auto`` for the one on this computer. None uses the
            one that the program has connected to, or starts one for the program.
        fleet: The name of the fleet.
        detach: Machines that are launched do not end with this program.

    Raises:
        UsageError: The name is not valid.
        MissingError: Ray is not installed.
        UnavailableError: The cluster cannot be reached, or an actor did not start.
    """

    def __init__(self, address: str | None, fleet: str, *, detach: bool) -> None:
        if not _FLEET.fullmatch(fleet):
            raise UsageError(
                f"{fleet!r} cannot be a fleet's name: use up to 32 letters, digits, '_' and '-'"
            )
        self.fleet = fleet
        self.owner = "" if detach else f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._closed = threading.Event()
        self._images: dict[Path, FleetImage] = {}
        if not ray.is_initialized():
            try:
                ray.init(
                    address, namespace=NAMESPACE, include_dashboard=None if address else False,
                    log_to_driver=False,
                )  # fmt: skip
            except (ConnectionError, RuntimeError) as error:
                raise UnavailableError(f"no Ray cluster at {address}: {error}") from error
        self._controller = self._start_controller()
        self.start_keepers()
        self._wait_for_nodes()
        if self.owner:
            self.ask("renew_owner", self.owner)
            threading.Thread(target=self._stay, name="kju-owner", daemon=True).start()

    def ask(self, what: str, *arguments: object) -> Any:  # noqa: ANN401  any method's result
        """Call a method of the controller that does not wait."""
        return self.get(self._controller.ask.remote(what, *arguments), ANSWER_TIMEOUT)

    def launch(self, specs: Sequence[MachineSpec]) -> list[MachineStatus]:
        """Start machines: see `FleetController.launch`."""
        return list(self.get(self._controller.launch.remote(list(specs)), None))

    def end(self, name: str, reason: str) -> MachineStatus:
        """End a machine: see `FleetController.end`."""
        status: MachineStatus = self.get(self._controller.end.remote(name, reason), None)
        return status

    def open_image(self, path: Path) -> tuple[FleetImage | None, frozenset[str]]:
        """Return an image of this computer, and the nodes that have a file like it at its path.

        Args:
            path: Absolute.

        Returns:
            None for a path that only the nodes may have: see `kju.fleet.images.opening.open_image`.

        Raises:
            UsageError: It is not an image, or was changed while it was read.
        """
        node = _own_node()
        if node is None:
            return None, frozenset()
        known = self._images.get(path)
        if known is None or file_identity(path) != known.file:
            known = open_image(path, node, lambda: not self._closed.is_set())
            if known is None:
                return None, frozenset()
            self._images[path] = known
        return known, self._nodes_with(known)

    def _nodes_with(self, image: FleetImage) -> frozenset[str]:
        asked, found = {}, set()
        for name in self.ask("nodes"):
            with contextlib.suppress(ValueError):  # its keeper is being started
                keeper: Any = ray.get_actor(keeper_name(self.fleet, name), NAMESPACE)
                asked[name] = keeper.is_likely_here.remote(image)
        for name, answer in asked.items():
            # A node that does not answer gets a copy, or no machine.
            with contextlib.suppress(ray.exceptions.RayError):
                if ray.get(answer, timeout=ANSWER_TIMEOUT):
                    found.add(name)
        return frozenset(found)

    def start_keepers(self) -> None:
        """Start a keeper on each node that has none."""
        for node in _alive_nodes():
            name = node_name(node)
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ray.remote(actors.KeeperActor).options(
                name=keeper_name(self.fleet, name), namespace=NAMESPACE, lifetime="detached",
                get_if_exists=True, num_cpus=0, max_restarts=-1, scheduling_strategy=strategy,
            ).remote(self.fleet, name, node["Resources"])  # fmt: skip

    def run_on(self, function: Callable[[Any], Any], name: str, node: str, generation: int) -> Any:  # noqa: ANN401  Ray's reference to the result
        """Run a function with a machine, on the machine's node; return Ray's reference."""
        found = [each for each in _alive_nodes() if node_name(each) == node]
        if not found:
            raise MachineLostError(f"the node {node} of {name!r} has left", name, generation, node)
        strategy = NodeAffinitySchedulingStrategy(found[0]["NodeID"], soft=False)
        # Never twice: the guest has seen the input of the first time.
        task = ray.remote(_run_near).options(max_retries=0, scheduling_strategy=strategy)
        return task.remote(function, name, f"{self.fleet}/{node}", generation)

    def close(self) -> None:
        """End the machines of this program, and the connection to the fleet."""
        if not self._closed.is_set():
            self._closed.set()
            if self.owner:
                self.ask("forget_owner", self.owner)

    def end_fleet(self) -> None:
        """End the fleet: all of its actors. Its machines end with their leases."""
        self._closed.set()
        for name in self.ask("nodes"):
            ray.kill(ray.get_actor(keeper_name(self.fleet, name), NAMESPACE))
        ray.kill(self._controller)

    @staticmethod
    def get(reference: Any, seconds: float | None) -> Any:  # noqa: ANN401  Ray's own types
        """Return the result of a call.

        Raises:
            KjuError: The call failed with it, or the actor cannot be reached.
        """
        try:
            return ray.get(reference, timeout=seconds)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, KjuError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise UnavailableError(f"the fleet's controller has ended: {error}") from error
        except ray.exceptions.GetTimeoutError as error:
            raise UnavailableError("the fleet's controller does not answer") from error

    def _start_controller(self) -> Any:  # noqa: ANN401  Ray's own type
        return (
            ray.remote(actors.ControllerActor)
            .options(
                name=controller_name(self.fleet), namespace=NAMESPACE, lifetime="detached",
                get_if_exists=True, num_cpus=0, max_restarts=-1, max_concurrency=10_000,
            )
            .remote(self.fleet)
        )  # fmt: skip

    def _wait_for_nodes(self) -> None:
        """Wait until the keepers of all nodes have reported."""
        wanted = {node_name(node) for node in _alive_nodes()}
        waiting = threading.Event()
        for _ in range(int(START_TIMEOUT / 0.1)):
            here = self.get(self._controller.ask.remote("nodes"), START_TIMEOUT)
            if wanted <= here.keys():
                return
            waiting.wait(0.1)
        raise UnavailableError(f"nodes without a keeper: {', '.join(sorted(wanted - here.keys()))}")

    def _stay(self) -> None:
        """Renew the lease of this program's machines."""
        while not self._closed.wait(REPORT_INTERVAL):
            self._controller.ask.remote("renew_owner", self.owner)


def _alive_nodes() -> list[dict[str, Any]]:
    untyped: Any = ray
    return [node for node in untyped.nodes() if node["Alive"]]


def _own_node() -> str | None:
    """Return the node of this program; None for a program outside the cluster (Ray Client)."""
    untyped: Any = ray
    if untyped.util.client.ray.is_connected():
        return None
    own = ray.get_runtime_context().get_node_id()
    return next((node_name(node) for node in _alive_nodes() if node["NodeID"] == own), None)


def node_name(node: dict[str, Any]) -> str:
    """Return the name of a node: its computer's, and a part of its number."""
    host = re.sub(r"[^A-Za-z0-9-]+", "-", node["NodeManagerHostname"].split(".")[0])
    return f"{host.strip('-') or 'node'}-{node['NodeID'][:6]}"


def next_done(references: Iterable[Any]) -> Any:  # noqa: ANN401  Ray's own type
    """Return a reference whose task has ended; None if none has ended within a second."""
    done, _ = ray.wait(list(references), num_returns=1, timeout=1.0)
    return done[0] if done else None


def _run_near(function: Callable[[Any], Any], name: str, holder: str, generation: int) -> Any:  # noqa: ANN401
    """Run a function with a machine of this node."""
    if inspect.iscoroutinefunction(function):
        import asyncio

        return asyncio.run(_run_near_async(function, name, holder, generation))
    from ..client.launching import attach

    try:
        machine = attach(name)
    except (MachineGoneError, MachineNotFoundError) as error:
        raise _lost(name, holder, generation) from error
    with machine:
        _check(machine.info(), name, holder, generation)
        return function(machine)


async def _run_near_async(
    function: Callable[[Any], Any], name: str, holder: str, generation: int
) -> Any:  # noqa: ANN401
    from ..client.aio.launching import attach

    try:
        machine = await attach(name)
    except (MachineGoneError, MachineNotFoundError) as error:
        raise _lost(name, holder, generation) from error
    async with machine:
        _check(await machine.info(), name, holder, generation)
        return await function(machine)


def _check(info: dict[str, Any], name: str, holder: str, generation: int) -> None:
    lease = info.get("lease", {})
    if (lease.get("holder"), lease.get("generation")) != (holder, generation):
        raise _lost(name, holder, generation)


def _lost(name: str, holder: str, generation: int) -> MachineLostError:
    node = holder.partition("/")[2]
    text = f"start {generation} of {name!r} is no longer on {node}"
    return MachineLostError(text, name, generation, node)
