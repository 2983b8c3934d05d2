"""The pictures of the tiles as Qt images: `desktop.wall.tiles` makes them, the wall draws them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QImage

from ...machines.entry import MachineKey, MachineState
from ...machines.machines import Machines
from ...wall.tiles import TilePicture, Tiles
from .wall import Wall

_STOPPED = (MachineState.OFF, MachineState.ENDED)


class TilePictures(QObject):
    """Gives the wall its pictures, and tells the tiles what is in view.

    Args:
        machines: All machines.
        post: Calls a function on the toolkit's thread, from any thread.
    """

    def __init__(self, machines: Machines, post: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self._machines = machines
        self._post = post
        self._tiles = Tiles(self._changed)
        self._images: dict[str, tuple[TilePicture, QImage]] = {}
        self._wall: Wall | None = None
        machines.subscribe(lambda changed: self._show_machines())

    def serve(self, wall: Wall) -> None:
        """Follow what a wall shows."""
        self._wall = wall
        wall.view_changed.connect(self._show_view)
        wall.window().installEventFilter(self)
        self._show_machines()
        self._show_view()

    def picture(self, key: MachineKey) -> QImage | None:
        """Return a machine's newest picture."""
        if key.host:
            return None
        picture = self._tiles.tile(key.name).picture
        if picture is None:
            self._images.pop(key.name, None)
            return None
        known = self._images.get(key.name)
        if known is None or known[0] is not picture:
            height, width = picture.pixels.shape[:2]
            data = picture.pixels.data
            image = QImage(data, width, height, width * 4, QImage.Format.Format_RGB32)
            known = self._images[key.name] = picture, image
        return known[1]

    def close(self) -> None:
        """Save the last pictures, and end."""
        self._tiles.close()
        self._images.clear()

    def _changed(self, names: frozenset[str]) -> None:
        """Draw the tiles of machines again; called on the tiles' thread."""

        def repaint() -> None:
            if self._wall is not None:
                for name in names:
                    self._wall.tiles.repaint(MachineKey("", name))

        self._post(repaint)

    def _show_machines(self) -> None:
        entries = self._machines.entries.values()
        local = {e.name: e.state not in _STOPPED for e in entries if e.is_local}
        for name in self._images.keys() - local.keys():
            del self._images[name]
        self._tiles.set_machines(local)

    def _show_view(self) -> None:
        wall = self._wall
        if wall is None:
            return
        self._tiles.set_size(*wall.picture_size())
        self._tiles.set_visible([key.name for key in wall.visible_keys() if not key.host])
        hovered = wall.hovered
        self._tiles.set_hovered(hovered.name if hovered and not hovered.host else None)

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.WindowActivate, QEvent.Type.WindowDeactivate):
            self._tiles.set_active(event.type() == QEvent.Type.WindowActivate)
        return super().eventFilter(source, event)
