"""Start machines for models: `launch` from the images of one folder, `fork`, and `stop`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from ...client.aio.launching import launch
from ...client.aio.machine import Machine
from ...client.aio.waiting import run_blocking
from ...errors import KjuError, UsageError
from ...store import disk_files
from ...store.image import Kind
from ...store.paths import check_name, name_for
from ..dialects.arguments import ActionError, Arguments
from .results import Attached, ToolResult

#: The most machines that run at a time, and the most images that are listed.
MAX_LAUNCHED, MAX_LISTED = 4, 100


class ToolLauncher:
    """The machines that a model has started. They end with the server.

    A disk is temporary: the guest's writes are lost, the image is not changed.

    Args:
        folder: The images that may be started, and no other file; None for none.

    Attributes:
        calls: The tools.
        machine_calls: The tools on a machine.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder.resolve()
        self._machines: dict[str, Machine] = {}
        self._lock = asyncio.Lock()
        self.calls: dict[str, Callable[[Arguments], Awaitable[ToolResult]]] = {
            "launch": self._launch,
            "stop": self._stop,
        }
        self.machine_calls: dict[str, Callable[[Attached, Arguments], Awaitable[ToolResult]]] = {
            "fork": self._fork
        }

    @property
    def names(self) -> set[str]:
        """The names of the machines that run."""
        # Not of one that has ended: the user may start another machine under its name.
        return {name for name, machine in self._machines.items() if machine.is_alive}

    def images(self) -> list[str]:
        """Return the names of the images in the folder, at most 100."""
        paths = [] if self._folder is None else sorted(self._folder.iterdir())
        return [path.name for path in paths if self._is_inside(path)][:MAX_LISTED]

    def _is_inside(self, path: Path) -> bool:
        """Check for a file of the folder: a link must point into it."""
        real = path.resolve()
        return real.is_file() and real.parent == self._folder and not path.name.startswith(".")

    def _path_of(self, image: str) -> Path:
        """Return the path of an image.

        Raises:
            UsageError: The folder has no such image, or QEMU would open a file that is not in it.
        """
        path = (self._folder or Path()) / image
        # `path.name` differs for `..`, for a path with a slash, and for an absolute one.
        if image != path.name or image == ".." or "\0" in image or not self._is_inside(path):
            known = ", ".join(self.images()) or "none"
            raise ActionError(f"no image is named {image!r:.60}: the images are {known}")
        real = path.resolve()
        found = disk_files.read_image(str(real))
        if found.kind is Kind.KERNEL:
            raise UsageError(f"{image} is a kernel: only disks and CDs are launched")
        try:
            # The layers that kju made may be anywhere; here they may not.
            disk_files.checked(found, trusted=False, made=lambda _: frozenset())
        except UsageError as error:
            raise ActionError(
                f"{image} is refused: it refers to files outside of its folder; choose another"
                " image"
            ) from error
        return real

    async def _launch(self, arguments: Arguments) -> ToolResult:
        image = arguments.text("image")
        name = arguments.optional_text("name")
        arguments.finish()
        path = await run_blocking(self._path_of, image)
        name = check_name(name or name_for(image))
        async with self._lock:
            await self._check_number()
            self._machines[name] = await launch(path, name=name, args=["-snapshot"])
        return ToolResult(f"{name} is running", facts={"machine": name})

    async def _fork(self, attached: Attached, arguments: Arguments) -> ToolResult:
        given = arguments.optional_text("name")
        arguments.finish()
        name = None if given is None else check_name(given)
        async with self._lock:
            await self._check_number()
            fork = await attached.machine.fork(name=name)
            self._machines[fork.name] = fork
        base = attached.machine.name
        return ToolResult(f"{fork.name} continues from {base}", facts={"machine": fork.name})

    async def _check_number(self) -> None:
        await self._close_ended()
        if len(self._machines) >= MAX_LAUNCHED:
            known = ", ".join(self._machines)
            raise ActionError(f"{MAX_LAUNCHED} machines are running: stop one of {known}")

    async def _stop(self, arguments: Arguments) -> ToolResult:
        name = arguments.text("machine")
        arguments.finish()
        async with self._lock:
            await self._close_ended()
            machine = self._machines.get(name)
            if machine is None:
                known = ", ".join(self._machines) or "none"
                raise ActionError(
                    f"only machines of launch and fork are stopped, not {name!r:.60}: {known}"
                )
            await machine.stop()
            await self._close_ended()
        return ToolResult(f"{name} has ended", facts={"machine": name})

    async def _close_ended(self) -> None:
        for name, machine in list(self._machines.items()):
            if not machine.is_alive:
                del self._machines[name]
                with contextlib.suppress(KjuError):
                    await machine.close()

    async def close(self) -> None:
        """End the machines."""
        async with self._lock:
            for machine in self._machines.values():
                with contextlib.suppress(KjuError):
                    await machine.close()
            self._machines.clear()
