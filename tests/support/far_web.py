"""A machine that a real `kju serve` serves to other computers, and a web server that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

from kju.aio import Machine
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.trust import Trust
from kju.web import messages as web
from kju.web.access import Access
from kju.web.listening import WebOptions
from kju.web.remote.gateway import FarComputer
from kju.web.server import WebServer

from .background_server import serving
from .link_scene import free_port
from .wait import until_async

NAME = "lab/debian"


class Far:
    """A machine, and the `kju serve` that serves it as `NAME`.

    Attributes:
        machine: The machine, whose name is ``debian``.
        place: The address at which it is served.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.place = f"tls/127.0.0.1:{free_port()}"
        self._process: asyncio.subprocess.Process | None = None

    async def serve(self) -> None:
        """Serve the machine until `end`."""
        words = ["-m", "kju.cli", "serve", "debian", "--prefix", "lab", "--listen", self.place]
        pipe = subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe)
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line.startswith(b"serving"), line

    async def end(self) -> None:
        """Serve it no more."""
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
            self._process = None

    async def held(self) -> tuple[list[int], list[str]]:
        """Return the keys and buttons that are down in the guest."""
        console = (await self.machine.info())["consoles"][0]
        return console["keys_held"], console["buttons_held"]


@contextlib.asynccontextmanager
async def served(machine: Machine) -> AsyncIterator[Far]:
    """Serve a machine to other computers."""
    made = Far(machine)
    await made.serve()
    try:
        yield made
    finally:
        await made.end()


@contextlib.asynccontextmanager
async def near(far: Far, lab: Trust, user: str = "ann") -> AsyncIterator[WebServer]:
    """Run a web server that shows the far machine only."""
    options = SessionOptions(connect=[endpoint(far.place, "tls")], tls=lab.tls(user))
    remotes = [FarComputer(options, user)]
    server = WebServer([NAME], WebOptions(), access=Access(), remotes=remotes)
    async with serving(server):
        await until_async(lambda: server.site._gateway.live() == [NAME])
        yield server


def is_listed(state: str) -> Callable[[web.MachineList], bool]:
    """Return a check that a list has the far machine only, in this state."""
    return lambda message: [(each.name, each.state) for each in message.machines] == [(NAME, state)]
