"""The pictures of remote machines in a wall.

All screens of one computer share the connection of that address, which
`kju.desktop.machines.remote_machines` has. A screen has a session only while its tile is in view,
and at most `MAX_SCREENS` have one. `show` returns at once and may be called from any thread; the
rest runs in the event loop of the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from ...errors import KjuError
from ...remote import addresses
from ...remote.memory_target import MemoryBudget
from ...remote.transport import Engine
from ...surface.thumbnail import Thumbnail
from ..machines.entry import MachineKey
from ..machines.remote_addresses import RemoteAddress
from ..machines.remote_machines import ScreenNews
from .tile import Tile
from .tiles import look_rate

if TYPE_CHECKING:
    from .remote_session import RemoteScreen

#: Remote screens with a session.
MAX_SCREENS = 64
#: Threads that draw.
_THREADS = 2


class RemoteView(NamedTuple):
    """The wall's state, as of `kju.desktop.wall.tiles.View`."""

    visible: frozenset[MachineKey] = frozenset()
    hovered: MachineKey | None = None
    active: bool = True
    size: tuple[int, int] = (320, 200)


class _RemoteConnection(NamedTuple):
    address: RemoteAddress
    engine: Engine


class RemoteTiles:
    """The pictures of all remote machines.

    Args:
        on_change: Called with the machine of a new picture, in the event loop.
        on_news: Called with a machine and its state, in the event loop.
    """

    def __init__(
        self,
        on_change: Callable[[MachineKey], object],
        on_news: Callable[[MachineKey, ScreenNews], object],
    ) -> None:
        self._on_change, self._on_news = on_change, on_news
        self._view = RemoteView()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._tiles: dict[MachineKey, Tile] = {}
        self._connections: dict[str, _RemoteConnection] = {}
        self._screens: dict[MachineKey, RemoteScreen] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "kju-remote-drawing")
        self._budget = MemoryBudget()

    # ---- from any thread

    def tile(self, key: MachineKey) -> Tile:
        """Return the content of the tile of a machine."""
        return self._tiles.get(key) or Tile(key.name)

    def show(self, view: RemoteView) -> None:
        """Look at the tiles of another view."""
        with self._lock:
            changed, self._view = view != self._view, view
        if changed and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has closed
                self._loop.call_soon_threadsafe(self._apply)

    def forget(self, key: MachineKey) -> None:
        """Drop the picture of a machine that does not exist any more."""
        self._tiles.pop(key, None)

    def close(self) -> None:
        """Free the threads; the connections have been closed."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ---- in the event loop of the connections

    def opened(self, address: RemoteAddress, engine: Engine) -> None:
        """Look at the machines of a new connection."""
        self._loop = asyncio.get_running_loop()
        self._connections[address.connect] = _RemoteConnection(address, engine)
        self._apply()

    async def closing(self, connect: str) -> None:
        """End the sessions of a connection, which closes after this."""
        self._connections.pop(connect, None)
        ended = [key for key in self._screens if key.host == connect]
        await asyncio.gather(*(self._screens.pop(key).close() for key in ended))

    def _apply(self) -> None:
        """Follow the view."""
        view = self._view
        wanted = [key for key in sorted(view.visible) if self._can_show(key)]
        wanted.sort(key=lambda key: key not in self._screens)  # those that are shown stay
        for key in wanted[MAX_SCREENS:]:
            self._on_news(key, ScreenNews(reason=f"{MAX_SCREENS} others are shown already"))
        shown = wanted[:MAX_SCREENS]
        idle = [key for key in self._screens if key not in shown]
        for key in idle:
            self._screens[key].set_rate(0.0, view.size)
        for key in shown:
            if key not in self._screens:
                self._screens[key] = self._open(key)
            rate = look_rate(hovered=key == view.hovered, active=view.active)
            self._screens[key].set_rate(rate, view.size)
        surplus = sum(screen.is_open for screen in self._screens.values()) - MAX_SCREENS
        for key in idle[: max(0, surplus)]:
            self._screens[key].leave()

    def _can_show(self, key: MachineKey) -> bool:
        try:
            addresses.check_screen(key.name)
        except KjuError:
            return False  # the place of an address without machines
        return key.host in self._connections

    def _open(self, key: MachineKey) -> RemoteScreen:
        # With the first remote machine: the wire's modules would delay the app's start.
        from .remote_session import RemoteScreen, Reports, ScreenPlace, SharedParts

        address, engine = self._connections[key.host]
        reports = Reports(
            functools.partial(self._take_picture, key), functools.partial(self._on_news, key)
        )
        user = address.user if address.options().tls else ""
        parts = SharedParts(self._threads, self._budget)
        return RemoteScreen(ScreenPlace(engine, key.name, user), parts, reports)

    def _take_picture(self, key: MachineKey, picture: Thumbnail, size: tuple[int, int]) -> None:
        self._tiles[key] = self.tile(key).showing(picture.pixels, size)
        self._on_change(key)
