"""The pictures of the tiles as Qt images: `desktop.wall.tiles` makes them, the wall draws them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QImage

from ...machines.entry import MachineKey, MachineState
from ...machines.machines import Machines
from ...machines.remote_machines import ScreenNews
from ...wall.remote_tiles import RemoteTiles, RemoteView
from ...wall.tiles import TilePicture, Tiles
from .wall import Wall

_STOPPED = (MachineState.OFF, MachineState.ENDED)


class TilePictures(QObject):
    """Gives the wall its pictures, and marks the tiles that are in view.

    Args:
        machines: All machines.
        post: Calls a function on the toolkit's thread, from any thread.

    Attributes:
        remote: The pictures of machines of other computers.
    """

    #: A `MachineKey` of another computer, and the `ScreenNews` of its picture.
    remote_news = Signal(object, object)

    def __init__(self, machines: Machines, post: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self._machines = machines
        self._post = post
        self._tiles = Tiles(self._changed)
        self.remote = RemoteTiles(self._remote_changed, self._take_news)
        self._is_active = True
        self._images: dict[MachineKey, tuple[TilePicture, QImage]] = {}
        self._wall: Wall | None = None
        machines.subscribe(lambda changed: self._show_machines())

    def serve(self, wall: Wall) -> None:
        """Follow the tiles in a wall's view."""
        self._wall = wall
        wall.view_changed.connect(self._show_view)
        wall.window().installEventFilter(self)
        self._show_machines()
        self._show_view()

    def picture(self, key: MachineKey) -> QImage | None:
        """Return a machine's newest picture."""
        tile = self.remote.tile(key) if key.host else self._tiles.tile(key.name)
        picture = tile.picture
        if picture is None:
            self._images.pop(key, None)
            return None
        known = self._images.get(key)
        if known is None or known[0] is not picture:
            height, width = picture.pixels.shape[:2]
            data = picture.pixels.data
            image = QImage(data, width, height, width * 4, QImage.Format.Format_RGB32)
            known = self._images[key] = picture, image
        return known[1]

    def close(self) -> None:
        """Save the last pictures, and end."""
        self._tiles.close()
        self.remote.close()
        self._images.clear()

    def _changed(self, names: frozenset[str]) -> None:
        """Draw the tiles of machines again; called on the tiles' thread."""

        def repaint() -> None:
            if self._wall is not None:
                for name in names:
                    self._wall.tiles.repaint(MachineKey("", name))

        self._post(repaint)

    def _remote_changed(self, key: MachineKey) -> None:
        """Draw the tile of a remote machine again; called on the connections' thread."""

        def repaint() -> None:
            if self._wall is not None:
                self._wall.tiles.repaint(key)

        self._post(repaint)

    def _take_news(self, key: MachineKey, news: ScreenNews) -> None:
        self._post(lambda: self.remote_news.emit(key, news))

    def _show_machines(self) -> None:
        entries = self._machines.entries
        local = {e.name: e.state not in _STOPPED for e in entries.values() if e.is_local}
        for key in self._images.keys() - entries.keys():
            del self._images[key]
        self._tiles.set_machines(local)

    def _show_view(self) -> None:
        wall = self._wall
        if wall is None:
            return
        self._tiles.set_size(*wall.picture_size())
        visible, hovered = wall.visible_keys(), wall.hovered
        self._tiles.set_visible([key.name for key in visible if not key.host])
        self._tiles.set_hovered(hovered.name if hovered and not hovered.host else None)
        self._tiles.set_active(self._is_active)
        remote = frozenset(key for key in visible if key.host)
        self.remote.show(RemoteView(remote, hovered, self._is_active, wall.picture_size()))

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.WindowActivate, QEvent.Type.WindowDeactivate):
            self._is_active = event.type() == QEvent.Type.WindowActivate
            self._show_view()
        return super().eventFilter(source, event)
