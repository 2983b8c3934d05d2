"""Carry out the calls of tools: one machine's calls one after the other, several in parallel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...acting.answer import Times
from ...client.aio.acting import FIRST, LIMIT, STILL
from ...client.aio.launching import attach
from ...client.aio.machine import Machine
from ...client.targets import running_names
from ...errors import KjuError
from ...escaping import one_line
from ...protocol.values import Role
from ..aio.computer import Computer
from ..dialects.arguments import ActionError, Arguments
from . import calls, tools
from .results import Attached, ToolResult

TIMES = Times(FIRST, STILL, LIMIT)


class ToolSession:
    """The machines of one client, and its calls.

    Args:
        role: The role in which machines are attached.
        images: The folder of images for ``wait_image``.
        serial: Offer the serial port.
        names: Names of the machines that may be used; None for all.
        times: The times of each answer, as of `Computer`.
    """

    def __init__(
        self,
        role: Role = "control",
        *,
        images: Path | None = None,
        serial: bool = False,
        names: frozenset[str] | None = None,
        times: Times = TIMES,
    ) -> None:
        self._images = images
        self._role = role
        self._names = names
        self._times = times
        self._attached: dict[str, Attached] = {}
        self._attaching = asyncio.Lock()
        self._calls: set[asyncio.Task[ToolResult]] = set()
        self.tools = tools.offered(
            may_control=role == "control", has_images=images is not None, has_serial=serial
        )

    async def call(self, name: str, values: Mapping[str, Any]) -> ToolResult:
        """Carry out a call. Errors are results, with a text that says what to do.

        A cancelled call goes on until its keys and buttons are released. The caller may be
        cancelled at every `await`, so the call is a task of its own.
        """
        task = asyncio.ensure_future(self._call(name, values))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise
        except (KjuError, OSError) as error:
            return ToolResult(one_line(str(error) or type(error).__name__), is_error=True)

    async def _call(self, name: str, values: Mapping[str, Any]) -> ToolResult:
        tool = self.tools.get(name)
        if tool is None:
            raise ActionError(f"unknown tool {name!r:.40}: choose {', '.join(self.tools)}")
        if not tool.of_machine:
            if values:
                raise ActionError(f"{name} takes no arguments")
            return await self._list()
        rest = {key: value for key, value in values.items() if key != "machine"}
        attached = await self._attach(values.get("machine"))
        async with attached.lock:
            return await calls.CALLS[name](attached, Arguments(name, rest, attached.view))

    async def _list(self) -> ToolResult:
        names = await asyncio.to_thread(self._known)
        facts = {"machines": names}
        return ToolResult("\n".join(names) or "no machine is running", facts=facts)

    def _known(self) -> list[str]:
        """Return the names of the machines that may be used."""
        return [name for name in running_names() if self._names is None or name in self._names]

    async def _attach(self, name: object) -> Attached:
        """Return a machine; without a name the only one that runs."""
        known = await asyncio.to_thread(self._known)
        if name is None:
            if len(known) != 1:
                listed = ", ".join(known) or "none"
                raise ActionError(f"name a machine: {listed} are running")
            name = known[0]
        if not isinstance(name, str) or name not in known:
            listed = ", ".join(known) or "none is running"
            raise ActionError(f"no machine is named {name!r:.60}: {listed}")
        async with self._attaching:
            found = self._attached.get(name)
            if found is None or not found.machine.is_alive:
                machine = await attach(name, self._role)
                computer = self._computer(machine)
                found = self._attached[name] = Attached(machine, computer, self._images)
        return found

    def _computer(self, machine: Machine) -> Computer | None:
        if not machine.screens:
            return None
        first, still, limit = self._times
        return Computer(machine.screens[0], first=first, still=still, limit=limit)

    async def close(self) -> None:
        """End the calls and release the machines, with the keys that are still held."""
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)
        for attached in self._attached.values():
            with contextlib.suppress(KjuError):
                await attached.machine.close()
        self._attached.clear()
