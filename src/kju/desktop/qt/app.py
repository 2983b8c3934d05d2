"""Start Qt and the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ... import extras
from ...client.targets import attach_to_look
from ...viewers.qt import application, run_loop
from ..memory import collect_early
from ..settings import load
from ..single_instance import FirstInstance, OpenRequest, send_to_first

if TYPE_CHECKING:
    from ..background import Background
    from ..machines.machines import Machines
    from .main_window import MainWindow
    from .managing import Managing


class Desktop:
    """The parts of the app. Qt's application exists already.

    Attributes:
        machines: All machines.
        background: Runs what may block.
        window: The main window.
        managing: Everything that is done with machines in the window.
    """

    machines: Machines
    background: Background
    window: MainWindow
    managing: Managing

    def __init__(self) -> None:
        from PySide6.QtCore import QObject, Qt, Signal

        from ..background import Background
        from ..machines.machines import Machines
        from .main_window import MainWindow
        from .managing import Managing
        from .pages.create_tabs import CreateTabs
        from .wall.tile_pictures import TilePictures

        class Posts(QObject):
            posted = Signal(object)

        self._posts = posts = Posts()
        posts.posted.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
        self.machines = Machines(self.post)
        self.background = Background(self.post)
        self._pictures = TilePictures(self.machines, self.post)
        settings = load()
        self.window = MainWindow(self.machines, self.background, settings, self._pictures.picture)
        self._pictures.serve(self.window.wall)
        self._create = CreateTabs(self.window, self.machines)
        self.managing = Managing(self.window, self.machines, self.post, self._pictures)

    def post(self, call: Callable[[], None]) -> None:
        """Call a function on Qt's thread, from any thread."""
        self._posts.posted.emit(call)

    def show(self, request: OpenRequest) -> None:
        """Show the main window, and the consoles of a request."""
        for name in request.names:
            self.window.open_machine(name)
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    def close(self) -> None:
        """End the app's threads; the machines keep running."""
        self.managing.close()
        self._create.close()
        self._pictures.close()
        self.machines.close()
        self.background.close(2.0)


def show_desktop(names: Sequence[str]) -> None:
    """Show all machines until the main window is closed; the machines keep running.

    Args:
        names: Machines whose consoles are opened.

    Raises:
        MachineNotFoundError: No machine of a name is running.
        UsageError: The display is missing.
        MissingError: The extra ``desktop`` is not installed.
    """
    extras.require("desktop", "a window")
    for name in names:
        attach_to_look(name).close()
    if send_to_first(OpenRequest(list(names))):
        return
    app = application()
    desktop = Desktop()
    first = FirstInstance(lambda request: desktop.post(lambda: desktop.show(request)))
    desktop.machines.open()
    desktop.show(OpenRequest(list(names)))
    collect_early()
    try:
        status = run_loop(app)
    finally:
        first.close()
        desktop.close()
    if status:
        raise SystemExit(status)
