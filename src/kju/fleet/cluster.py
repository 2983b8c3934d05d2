"""SHELL: a program's side of a fleet on Ray: connects, starts the actors, asks them."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import (
    FleetNotFoundError,
    KjuError,
    UnavailableError,
    UsageError,
)
from ..extras import require

require("fleet", "a fleet")

import ray  # noqa: E402  after the check, whose message names the extra

from .actors import alive_nodes, controller_name, keeper_name, start_controller  # noqa: E402
from .bases.opening import open_for_fleet  # noqa: E402
from .bases.source import FleetBase  # noqa: E402
from .connecting import NAMESPACE, connect, named_actors  # noqa: E402
from .images.files import file_identity  # noqa: E402
from .images.opening import open_image, require_snapshot  # noqa: E402
from .images.source import FleetImage  # noqa: E402
from .messages import FLEET_NAME, REPORT_INTERVAL, Changes, MachineSpec, MachineStatus  # noqa: E402
from .network.joining import FleetNetwork  # noqa: E402

log = logging.getLogger(__name__)

#: Seconds for an actor to start.
START_TIMEOUT = 120.0
#: Seconds for an answer of the controller that waits for nothing, and for one of keepers.
ANSWER_TIMEOUT, KEEPER_TIMEOUT = 30.0, 10.0
#: Seconds between two looks for changes.
LOOK = 0.5
#: Seconds between two questions to a controller that is being killed.
_ENDING = 0.05


class FleetLink:
    """A program's connection to a fleet; its machines end with it unless it is detached.

    Args:
        address: The address of a Ray cluster: see `kju.fleet.connecting.connect`.
        fleet: The name of the fleet.
        detach: Machines that are launched do not end with this program.
        start: Start the fleet if it does not exist.
        network: The network of a new fleet; a fleet that exists has to have the same one. None:
            each computer's own socket, or the fleet's network.
        user: This program's user name on that network.

    Raises:
        UsageError: The name is not valid.
        MissingError: Ray is not installed.
        UnavailableError: The cluster cannot be reached, an actor did not start, or there is no
            such fleet.
    """

    def __init__(
        self,
        address: str | None,
        fleet: str,
        *,
        detach: bool,
        start: bool = True,
        network: FleetNetwork | None = None,
        user: str = "",
    ) -> None:
        if not (isinstance(fleet, str) and FLEET_NAME.fullmatch(fleet)):
            raise UsageError(
                f"{fleet!r} cannot be a fleet's name: use up to 32 letters, digits, '_' and '-'"
            )
        self.fleet, self.user = fleet, user
        self.owner = "" if detach else f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._closed = threading.Event()
        self._images: dict[Path, FleetImage] = {}
        self._bases: dict[str, FleetBase] = {}
        connect(address)
        wanted = network or FleetNetwork()
        self._controller: Any = start_controller(fleet, wanted) if start else _controller_of(fleet)
        if network is not None and (found := self.network()) != network:
            where = ", ".join(found.router) or "each computer's own socket"
            raise UsageError(f"the fleet {fleet} exists, and is served at {where}")
        if start:
            self._wait_for_nodes()
        if self.owner:
            self.ask("renew_owner", self.owner)
            threading.Thread(target=self._stay, name="kju-owner", daemon=True).start()

    def ask(self, what: str, *arguments: object) -> Any:  # noqa: ANN401  any method's result
        """Call a method of the controller that does not wait."""
        return self.get(self._controller.ask.remote(what, *arguments), ANSWER_TIMEOUT)

    def keeper_faults(self) -> dict[str, str]:
        """Return why nodes get no machines, by their names."""
        faults: dict[str, str] = self.get(self._controller.keeper_faults.remote(), START_TIMEOUT)
        return faults

    def network(self) -> FleetNetwork:
        """Return the network on which the fleet's machines are served."""
        found: FleetNetwork = self.get(self._controller.network.remote(), START_TIMEOUT)
        return found

    def launch(self, specs: Sequence[MachineSpec], token: str) -> list[MachineStatus]:
        """Start machines: see `FleetController.launch`."""
        return list(self.get(self._controller.launch.remote(list(specs), token), None))

    def abandon(self, token: str) -> None:
        """End a launch, also one that is over, and its machines."""
        # A program that ends after this would not send the call without waiting.
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self._controller.ask.remote("abandon", token), timeout=KEEPER_TIMEOUT)

    def end(self, name: str, reason: str, generation: int | None = None) -> MachineStatus:
        """End a machine: see `FleetController.end`."""
        ending = self._controller.end.remote(name, reason, generation)
        status: MachineStatus = self.get(ending, None)
        return status

    def open_image(
        self, path: Path, snapshot: object = None
    ) -> tuple[FleetImage | None, frozenset[str]]:
        """Return an image of this computer, and the nodes that have a file like it at its path.

        Args:
            path: Absolute.
            snapshot: The name of a snapshot that it has to have; None for none.

        Returns:
            None for a path that only the nodes may have: see `kju.fleet.images.opening.open_image`.

        Raises:
            UsageError: It is not an image, has no such snapshot, or was changed while it was read.
            QemuError: Its snapshots cannot be read.
        """
        if snapshot is not None:
            require_snapshot(path, snapshot)  # first: to read a large image takes long
        node = _own_node()
        if node is None:
            return None, frozenset()
        known = self._images.get(path)
        if known is None or file_identity(path) != known.file:
            known = open_image(path, node, lambda: not self._closed.is_set())
            if known is None:
                return None, frozenset()
            self._images[path] = known
        return known, self._at_hand([known]).get(known.key, frozenset())

    def open_base(self, base: FleetBase | str) -> tuple[FleetBase, dict[str, frozenset[str]]]:
        """Return a base, and the nodes that have its parts at hand, by the keys of the parts.

        Args:
            base: The base, or the ID of one on this computer.

        Raises:
            ForkError: It does not exist any more.
            UsageError: A file below its disks cannot be read.
            UnavailableError: This program is on no node of the cluster.
        """
        if isinstance(base, str):
            if base not in self._bases:
                if (node := _own_node()) is None:
                    raise UnavailableError(
                        "this program is on no node of the cluster, which could copy its base:"
                        " launch a machine in the fleet, and freeze that"
                    )
                self._bases[base] = open_for_fleet(base, node, lambda: not self._closed.is_set())
            base = self._bases[base]
        return base, self._at_hand(base.images, base)

    def _at_hand(
        self, images: Sequence[FleetImage], base: FleetBase | None = None
    ) -> dict[str, frozenset[str]]:
        """Return the nodes that seem to have files without a copy, by the keys of the files."""
        asked: dict[str, Any] = {}
        found: dict[str, set[str]] = {}
        for name in self.ask("node_names"):
            with contextlib.suppress(ValueError):  # its keeper is being started
                keeper: Any = ray.get_actor(keeper_name(self.fleet, name), NAMESPACE)
                asked[name] = keeper.at_hand.remote(images, base)
        # A node that does not answer gets a copy, or no machine.
        answers = list(asked.values())
        done, _ = ray.wait(answers, num_returns=max(1, len(answers)), timeout=KEEPER_TIMEOUT)
        for name, answer in asked.items():
            if answer in done:
                with contextlib.suppress(ray.exceptions.RayError):
                    for key in ray.get(answer):
                        found.setdefault(key, set()).add(name)
        return {key: frozenset(names) for key, names in found.items()}

    def changes(self, mark: tuple[int, int] | None) -> Changes:
        """Return the changes of machines: see `FleetController.changes`."""
        found: Changes = self.ask("changes", mark)
        return found

    def later_changes(self, mark: tuple[int, int]) -> Changes | None:
        """Wait a moment, and return the changes since a mark; None if the link is closed."""
        return None if self._closed.wait(LOOK) else self.changes(mark)

    def fleets(self) -> list[str]:
        """Return the names of the fleets of the cluster."""
        return named_actors(controller_name(""))

    def end_machines(self, reason: str) -> None:
        """End all machines; return when they have ended."""
        self.get(self._controller.end_all.remote(reason), None)

    def close(self) -> None:
        """End the machines of this program, and the connection to the fleet.

        They end with the program's lease if the controller does not answer.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        # Without the check Ray would start a cluster for the call.
        if self.owner and ray.is_initialized():
            try:
                self.ask("forget_owner", self.owner)
            except UnavailableError as error:
                log.warning("the machines of %s end with its lease: %s", self.owner, error)

    def end_fleet(self) -> None:
        """End the fleet: all of its actors. Its machines end with their leases."""
        self._closed.set()
        # First: it would start the keepers again.
        ray.kill(self._controller)
        self._wait_until_ended()
        # Also those of nodes that are silent, or have not reported yet.
        for name in alive_nodes():
            with contextlib.suppress(ValueError):  # it has ended with its node
                ray.kill(ray.get_actor(keeper_name(self.fleet, name), NAMESPACE))

    def _wait_until_ended(self) -> None:
        """Wait until the controller, which Ray kills, answers no more: its name is free then."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        # Ray reports each call that it would repeat.
        ask = self._controller.network.options(max_task_retries=0)
        with contextlib.suppress(ray.exceptions.RayError):
            while time.monotonic() < deadline:
                ray.get(ask.remote(), timeout=ANSWER_TIMEOUT)
                time.sleep(_ENDING)

    @staticmethod
    def get(reference: Any, seconds: float | None) -> Any:  # noqa: ANN401  Ray's own types
        """Return the controller's answer.

        Raises:
            KjuError: The call failed with it.
            UnavailableError: The controller cannot be reached.
        """
        try:
            return ray.get(reference, timeout=seconds)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, KjuError):
                raise error.cause from None
            raise
        except ray.exceptions.GetTimeoutError as error:
            raise UnavailableError("the fleet's controller does not answer") from error
        except ray.exceptions.ActorUnavailableError as error:
            raise UnavailableError(
                "the fleet's controller was restarted during the call, which may have worked:"
                f" list the fleet's machines ({error})"
            ) from error
        except ray.exceptions.RayError as error:
            raise UnavailableError(f"the fleet's controller has ended: {error}") from error

    def _wait_for_nodes(self) -> None:
        """Wait until the keepers of all nodes have reported."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            here = self.get(self._controller.ask.remote("node_names"), START_TIMEOUT)
            # Asked each time: a node may leave meanwhile.
            missing = alive_nodes().keys() - set(here)
            if missing <= (faults := self.keeper_faults()).keys():
                break
            if time.monotonic() >= deadline:
                raise UnavailableError(f"nodes without a keeper: {', '.join(sorted(missing))}")
            time.sleep(0.1)
        for name in sorted(missing):
            log.warning("the node %s gets no machines: %s", name, faults[name])
        if not here:
            why = "; ".join(f"{name}: {faults[name]}" for name in sorted(missing))
            raise UnavailableError(f"no node can have machines: {why}")

    def _stay(self) -> None:
        """Renew the lease of this program's machines."""
        while not self._closed.wait(REPORT_INTERVAL) and ray.is_initialized():
            self._controller.ask.remote("renew_owner", self.owner)


def _own_node() -> str | None:
    """Return the node of this program; None for a program outside the cluster (Ray Client)."""
    untyped: Any = ray
    if untyped.util.client.ray.is_connected():
        return None
    own = ray.get_runtime_context().get_node_id()
    return next((name for name, node in alive_nodes().items() if node["NodeID"] == own), None)


def _controller_of(fleet: str) -> Any:  # noqa: ANN401  Ray's own type
    try:
        return ray.get_actor(controller_name(fleet), NAMESPACE)
    except ValueError as error:
        others = named_actors(controller_name(""))
        which = f"its fleets are: {', '.join(others)}" if others else "kju fleet up starts one"
        raise FleetNotFoundError(f"the cluster has no fleet {fleet!r}: {which}", others) from error
