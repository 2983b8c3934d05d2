"""Thumbnails of many machines: what each tile of a wall shows, and how often it looks.

A tile is a viewer with the role `view` that states a low rate (`kju.Screen.set_rate`), so that the
host and QEMU do no more work than it looks. All tiles share one thread, "kju-tiles", with an event
loop: a host that does not answer delays no other tile. The pixels are read from shared memory, and
only the changed parts of a thumbnail are computed.

- Every call of `Tiles` returns at once and may be made from any thread. `on_change` is called on
  the tiles' thread.
- The pixels of a picture never change. A change gives the tile another picture.
- A machine that is off keeps its last picture. That of a defined machine is saved with the machine
  (`kju.store.last_pictures`), and shown after a restart of the program.

No toolkit is used here. A wall draws `Tiles.tile(name)` and says which tiles are visible.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ...errors import KjuError
from ...store import last_pictures
from .tile import Tile, TileBoard, TilePicture, TileState
from .tile_follower import TileFollower

__all__ = ["Tile", "TilePicture", "TileState", "Tiles", "WallView"]

log = logging.getLogger(__name__)

#: Looks per second at a visible tile, at the one under the pointer, and at a visible one while the
#: window is inactive.
RATE, HOVER_RATE, INACTIVE_RATE = 2.0, 4.0, 0.2
#: Looks at a surface for each look of its host: the two have no common clock, and a look without a
#: change costs two microseconds.
LOOKS = 2
#: Seconds between two saved pictures of one running machine.
SAVE_INTERVAL = 60.0
#: Seconds that `close` waits for the last pictures to be saved, and then for the thread.
SAVE_TIMEOUT, JOIN_TIMEOUT = 2.0, 1.0


def look_rate(*, hovered: bool, active: bool) -> float:
    """Return the looks per second at a visible tile."""
    if not active:
        return INACTIVE_RATE
    return HOVER_RATE if hovered else RATE


class WallView(NamedTuple):
    """The wall's state, which decides how often each tile looks.

    Attributes:
        machines: All machines, and whether each runs.
        visible: The machines whose tiles are visible.
        hovered: The machine under the pointer or with the focus; None for none.
        active: Whether the window is active.
        size: The largest thumbnail, in device pixels.
    """

    machines: Mapping[str, bool]
    visible: frozenset[str] = frozenset()
    hovered: str | None = None
    active: bool = True
    size: tuple[int, int] = (320, 200)

    def rate(self, name: str) -> float:
        """Return the looks per second at a machine; 0 for none."""
        if not self.machines.get(name) or name not in self.visible:
            return 0.0
        return look_rate(hovered=name == self.hovered, active=self.active)


class Tiles:
    """The tiles of one wall.

    Args:
        on_change: Called with the names of the tiles that have changed, on the tiles' thread.
        size: The largest thumbnail, width and height in device pixels.
    """

    def __init__(
        self, on_change: Callable[[frozenset[str]], object], size: tuple[int, int] = (320, 200)
    ) -> None:
        self._board = TileBoard(on_change)
        self._view = WallView({}, size=size)
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._looker = _Looker(self._board)
        self._thread = threading.Thread(target=self._run, name="kju-tiles", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._looker.run())
        finally:
            self._loop.close()

    def tile(self, name: str) -> Tile:
        """Return the content of the tile of a machine."""
        return self._board.tile(name)

    def set_machines(self, machines: Mapping[str, bool]) -> None:
        """Set all machines, and whether each runs; tiles of others are dropped."""
        self._change(machines=dict(machines))

    def set_visible(self, names: Collection[str]) -> None:
        """Set the machines whose tiles are visible: the others are not looked at."""
        self._change(visible=frozenset(names))

    def set_hovered(self, name: str | None) -> None:
        """Set the machine under the pointer or with the focus: it is looked at more often."""
        self._change(hovered=name)

    def set_active(self, active: bool) -> None:
        """Set whether the window is active: in an inactive one all are looked at rarely."""
        self._change(active=active)

    def set_size(self, width: int, height: int) -> None:
        """Set the largest thumbnail, in device pixels."""
        self._change(size=(max(1, width), max(1, height)))

    def _change(self, **changes: object) -> None:
        with self._lock:
            view = self._view._replace(**changes)  # type: ignore[arg-type]  # as annotated above
            if view != self._view:
                self._view = view
                self._call(self._looker.show, view)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Detach from all machines and save the last pictures. A second call does nothing."""
        self._call(self._looker.stop)
        self._thread.join(SAVE_TIMEOUT + JOIN_TIMEOUT)


class _Looker:
    """The work of the tiles' thread: a follower for each running machine, and all looks."""

    def __init__(self, board: TileBoard) -> None:
        self._board = board
        self._followers: dict[str, TileFollower] = {}
        self._known: set[str] = set()
        self._news = asyncio.Event()
        self._files = _PictureFiles(board, self._news.set)
        self._is_open = True

    def show(self, view: WallView) -> None:
        """Follow the machines of another view."""
        for name in self._known - set(view.machines):
            self._end(name)
            self._board.drop(name)
            self._files.forget(name)
        for name in set(view.machines) - self._known:
            self._board.set(Tile(name))
            self._files.load(name)
        self._known = set(view.machines)
        for name, runs in view.machines.items():
            if not runs:
                self._end(name)
                continue
            if name not in self._followers:
                self._followers[name] = TileFollower(name, self._board, self._news.set)
            self._followers[name].set_rate(view.rate(name), view.size)
        self._news.set()

    def _end(self, name: str) -> None:
        """Leave a machine that does not run any more; its last picture stays."""
        if (follower := self._followers.pop(name, None)) is not None:
            follower.close()
            self._board.set_state(name, TileState.OFF)
            self._files.keep(name)

    def stop(self) -> None:
        """Have `run` return."""
        self._is_open = False
        self._news.set()

    async def run(self) -> None:
        """Look at all machines until `stop`."""
        loop = asyncio.get_running_loop()
        while self._is_open:
            self._news.clear()
            now = loop.time()
            for name, follower in self._followers.items():
                if follower.look(now):
                    self._files.keep_sometimes(name, now)
            self._board.report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._news.wait()
        for name in list(self._followers):
            self._end(name)
        await self._files.close()

    def _pause(self) -> float | None:
        """Return the seconds to the next look; None without a machine to look at: no timer runs."""
        fastest = max((each.rate for each in self._followers.values() if each.is_open), default=0.0)
        return 1 / (LOOKS * fastest) if fastest else None


class _PictureFiles:
    """The saved pictures of machines, read and written by one thread.

    Args:
        board: The tiles.
        wake: Called after a picture was loaded.
    """

    def __init__(self, board: TileBoard, wake: Callable[[], object]) -> None:
        self._board = board
        self._wake = wake
        self._saved: dict[str, int] = {}  # the version in the file
        self._saved_at: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(1, "kju-pictures")
        self._jobs: set[asyncio.Task[None]] = set()

    def load(self, name: str) -> None:
        """Show the saved picture of a machine, unless a newer one is shown first."""
        self._begin(self._load(name))

    async def _load(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._pool, last_pictures.load, name)
        tile = self._board.tile(name)
        if pixels is not None and self._board.has(name) and tile.picture is None:
            tile = tile.showing(pixels)
            self._board.set(tile)
            self._saved[name] = 1
            self._wake()

    def keep_sometimes(self, name: str, now: float) -> None:
        """Save the picture of a running machine, `SAVE_INTERVAL` after the last time."""
        if now >= self._saved_at.setdefault(name, now) + SAVE_INTERVAL:
            self._saved_at[name] = now
            self.keep(name)

    def keep(self, name: str) -> None:
        """Save the picture of a machine if the file has an older one."""
        picture = self._board.tile(name).picture
        if picture is not None and self._saved.get(name) != picture.version:
            self._saved[name] = picture.version
            self._begin(self._save(name, picture))

    async def _save(self, name: str, picture: TilePicture) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._pool, last_pictures.save, name, picture.pixels)
        except (KjuError, OSError) as error:
            log.warning("the last picture of %s was not saved: %s", name, error)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def forget(self, name: str) -> None:
        """Forget a machine that does not exist any more."""
        self._saved.pop(name, None)
        self._saved_at.pop(name, None)

    async def close(self) -> None:
        """Wait until all pictures are saved, for `SAVE_TIMEOUT` at most."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=SAVE_TIMEOUT)
        for job in self._jobs:
            job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
