"""SHELL: a machine of this node: connect to it, and run a function with it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from ..client.aio.launching import attach as aio_attach
from ..client.launching import attach
from ..client.machine import Machine
from ..errors import MachineGoneError, MachineLostError, MachineNotFoundError


def run_near(function: Callable[[Any], Any], name: str, holder: str, generation: int) -> Any:  # noqa: ANN401
    """Run a function with a machine of this node.

    Raises:
        RuntimeError: It has raised what would end this process: another error than `Exception`.
    """
    try:
        if inspect.iscoroutinefunction(function):
            return asyncio.run(_run_near_async(function, name, holder, generation))
        with attach_start(name, holder, generation) as machine:
            return function(machine)
    except SystemExit as error:
        if error.code in (None, 0):
            return None
        raise RuntimeError(f"the task has exited with {error.code!r}") from error
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"the task has raised {error!r}") from error


def attach_start(name: str, holder: str, generation: int) -> Machine:
    """Connect to a certain start of a machine of this node.

    Args:
        name: The machine.
        holder: The fleet and the node: ``FLEET/NODE``.
        generation: The start.

    Raises:
        MachineLostError: This start is no longer on the node.
    """
    try:
        machine = attach(name)
    except (MachineGoneError, MachineNotFoundError) as error:
        raise lost(name, holder, generation) from error
    try:
        check_start(machine.info(), name, holder, generation)
    except BaseException:
        machine.close()
        raise
    return machine


async def _run_near_async(
    function: Callable[[Any], Any], name: str, holder: str, generation: int
) -> Any:  # noqa: ANN401
    try:
        machine = await aio_attach(name)
    except (MachineGoneError, MachineNotFoundError) as error:
        raise lost(name, holder, generation) from error
    async with machine:
        check_start(await machine.info(), name, holder, generation)
        return await function(machine)


def check_start(info: dict[str, Any], name: str, holder: str, generation: int) -> None:
    """Check that a machine is a certain start of its name in a fleet.

    Args:
        info: The machine's facts, as `kju.Machine.info` returns them.
        name: Its name.
        holder: The fleet and the node: ``FLEET/NODE``.
        generation: The start.

    Raises:
        MachineLostError: It is another start, or of another fleet.
    """
    lease = info.get("lease", {})
    if (lease.get("holder"), lease.get("generation")) != (holder, generation):
        raise lost(name, holder, generation)


def lost(name: str, holder: str, generation: int) -> MachineLostError:
    """Return the error for a start of a machine that is not on its node."""
    node = holder.partition("/")[2]
    text = f"start {generation} of {name!r} is no longer on {node}"
    return MachineLostError(text, name, generation, node)
