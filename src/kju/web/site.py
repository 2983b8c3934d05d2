"""SHELL: the machines and the open sockets of a web server, updated at a fixed interval."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from ..client.targets import machines
from ..errors import KjuError
from ..serving.served_machine import ServedMachines
from ..serving.shared_screen import ConsoleOrigin
from ..wire.greeting import Admission, Admit
from ..wire.messages import SessionHello
from .access import Access
from .access_list import Principal
from .assets import Assets
from .carrier import WebCarrier
from .connections import PAGES
from .messages import WebMachine
from .page_socket import ENDED, FAULT, GOING_AWAY, NO_SESSION, PageSocket
from .pictures import SmallOrigin, SmallPictures
from .remote.gateway import FarComputer, Gateway, is_remote
from .remote.screen import FarScreen

log = logging.getLogger(__name__)

#: Seconds between two looks at sessions and walls, and between two at the folders of machines.
TICK, LIST_TICK = 0.25, 1.0
#: The most sockets in all.
MAX_SOCKETS = 256


class Site:
    """The machines of a web server, and the sockets of its sessions.

    Args:
        names: The names of machines; none for all, including those that are started later.
        access: The links and sessions.
        assets: The files of the page.
        remotes: Other computers whose screens are served too.

    Attributes:
        access: The same.
        assets: The same.
        sockets: The authenticated sockets.
        server: The host name.
    """

    def __init__(
        self,
        names: Sequence[str],
        access: Access,
        assets: Assets,
        remotes: Sequence[FarComputer] = (),
    ) -> None:
        self._names = frozenset(names)
        self.access, self.assets = access, assets
        self.sockets: dict[str, PageSocket] = {}
        self.server = socket.gethostname()[:256]
        self._carriers: dict[str, WebCarrier] = {}
        here = [name for name in names if not is_remote(name)]
        there = [name for name in names if is_remote(name)]
        self._serves_here = bool(here) or not names
        self._machines = ServedMachines(here, "", self._make_carrier, self._admit_to)
        used = remotes if there or not names else ()
        self._gateway = Gateway(used, there, self._make_carrier, self._admit_to)
        self._pictures = SmallPictures(self.sockets.values, self._small_origin)
        self._list: list[WebMachine] = []
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def build(self) -> str:
        """The version of the page's files."""
        return self.assets.build

    # ---- machines ----

    def _make_carrier(self, name: str) -> WebCarrier:
        # Machines have ever new names, such as those of forks.
        self._carriers = {k: v for k, v in self._carriers.items() if not v.is_closed}
        carrier = self._carriers[name] = WebCarrier(name)
        return carrier

    def _admit_to(self, name: str) -> Admit:
        """Return a function that admits a hello: `PageSocket` has put the role into it."""

        def admit(hello: SessionHello, raw: bytes) -> Admission:
            session = hello.user.rpartition("/")[2]
            return Admission(hello.role, check=lambda: self._check(session))

        return admit

    def _check(self, session: str) -> None:
        if self.access.get(session) is None:
            raise KjuError("the session has ended")

    def serves(self, machine: str) -> bool:
        """Return whether this server serves a machine of this name."""
        return not self._names or machine in self._names

    def remote(self, machine: str) -> FarScreen | None:
        """Return the screen of another computer that has this name; None without one."""
        return self._gateway.screens.get(machine)

    def screen_refusal(self, principal: Principal, machine: str) -> str:
        """Return why a page of a session gets no further screen; empty if it does."""
        theirs = (page for page in self.sockets.values() if page.principal.owner == principal.owner)
        return self._gateway.refusal(machine, principal, (n for page in theirs for n in page.shown))

    def _small_origin(self, name: str) -> SmallOrigin:
        remote = self.remote(name)
        return ConsoleOrigin(name, 0) if remote is None else remote.small_origin()

    def carrier(self, machine: str, console: int) -> WebCarrier | None:
        """Return the carrier of a screen; None for a missing one."""
        if self.remote(machine) is not None:
            return self._carriers.get(machine) if console == 0 else None
        served = self._machines.served.get(machine)
        if served is None or console >= len(served.names):
            return None
        return self._carriers.get(served.names[console])

    def listed(self, principal: Principal) -> list[WebMachine]:
        """Return the machines of a session."""
        return [each for each in self._list if principal.may_use(each.name)]

    def _update_list(self) -> None:
        found: list[WebMachine] = []
        pages = Counter(name for page in self.sockets.values() for name in page.shown)
        for each in machines() if self._serves_here else ():
            if not self.serves(each.name):
                continue
            served, is_defined = self._machines.served.get(each.name), each.file is not None
            if served is not None:
                kind, state, consoles = served.kind, served.state, len(served.names)
                shown = pages[each.name]
                found.append(WebMachine(each.name, kind, state, consoles, is_defined, shown))
            elif not each.is_alive:  # else a mirror, or one that starts or ends at this moment
                found.append(WebMachine(each.name, "", "off", 0, is_defined))
        for name, screen in self._gateway.screens.items():
            found.append(WebMachine(name, "remote", screen.state, pages=pages[name]))
        self._list = found

    # ---- sockets ----

    def refusal(self, principal: Principal) -> str:
        """Return why one more socket of a session is refused; empty if it is not."""
        if len(self.sockets) >= MAX_SOCKETS:
            return f"this server has {MAX_SOCKETS} open pages, the most allowed"
        return PAGES.refusal(principal, (each.principal for each in self.sockets.values()))

    def sessions_in_use(self) -> frozenset[str]:
        """Return the ids of the sessions with an open page."""
        return frozenset(page.principal.id for page in self.sockets.values())

    async def serve(self, page: PageSocket) -> None:
        """Serve a socket until it ends."""
        self.sockets[page.id] = page
        try:
            await page.run()
        finally:
            self.sockets.pop(page.id, None)

    # ---- time ----

    async def start(self) -> None:
        """Serve the machines that run now.

        Raises:
            KjuError: A named machine is missing.
        """
        if self._serves_here:
            await self._machines.start()
        self._update_list()

    async def run(self) -> None:
        """Follow machines, sessions and walls until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            # Apart: a host that does not answer must not delay the end of a revoked session.
            group.create_task(_repeat(self._follow_machines, LIST_TICK))
            group.create_task(_repeat(self._follow_sockets, TICK))
            group.create_task(self._gateway.run())

    async def _follow_machines(self) -> None:
        if self._serves_here:
            await self._machines.update()
        self._update_list()

    async def _follow_sockets(self) -> None:
        self._end_sessions()
        for page in list(self.sockets.values()):
            page.send_machines()
        self._pictures.update([*self._machines.served, *self._gateway.live()])

    def _end_sessions(self) -> None:
        """End the sockets of sessions that were revoked or have expired.

        Raises:
            KjuError: The sessions cannot be read, so none of them is known to be valid: all sockets
                are ended.
        """
        pages = list(self.sockets.values())
        try:
            ended = [page for page in pages if not self._is_same(page.principal)]
        except KjuError:
            for page in pages:
                self._drop(page, FAULT, "the server cannot read its sessions: see its log")
            raise
        for page in ended:
            self._drop(page, ENDED, NO_SESSION)

    def _drop(self, page: PageSocket, code: int, reason: str) -> None:
        """End a socket that counts no more."""
        del self.sockets[page.id]
        self._end(page, code, reason)

    def _is_same(self, principal: Principal) -> bool:
        """Return whether a session still has the rights that its socket began with."""
        now = self.access.get(principal.id)
        rights = principal.role, principal.machines
        return now is not None and (now.role, now.machines) == rights

    def _end(self, page: PageSocket, code: int, reason: str) -> None:
        task = asyncio.create_task(page.end(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def end_sockets(self) -> None:
        """End all sockets."""
        for page in list(self.sockets.values()):
            self._end(page, GOING_AWAY, "the server has ended")
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def close(self) -> None:
        """Serve no more machines."""
        await self._pictures.close()
        await self._gateway.close()
        await self._machines.close()


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do some work again and again; log a failure once, until it is another one."""
    logged = ""
    while True:
        failure = ""
        try:
            await work()
        except KjuError as error:  # such as a damaged list of sessions
            failure = str(error)
        if failure and failure != logged:
            log.warning("%s", failure)
        logged = failure
        await asyncio.sleep(seconds)
