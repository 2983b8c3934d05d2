"""Start Qt and the app."""

from __future__ import annotations

from collections.abc import Sequence

from ... import extras
from ...client.targets import attach_to_look
from ...viewers.qt import application, run_loop
from ..settings import load
from ..single_instance import FirstInstance, OpenRequest, send_to_first


def show_desktop(names: Sequence[str]) -> None:
    """Show all machines until the main window is closed; the machines keep running.

    Args:
        names: Machines whose consoles are opened.

    Raises:
        MachineNotFoundError: No machine of a name is running.
        UsageError: There is no display.
        MissingError: The extra ``desktop`` is not installed.
    """
    extras.require("desktop", "a window")
    for name in names:
        attach_to_look(name).close()
    if send_to_first(OpenRequest(list(names))):
        return
    app = application()
    from PySide6.QtCore import QObject, Qt, Signal

    from ..background import Background
    from ..machines import Machines
    from .create_tabs import CreateTabs
    from .main_window import MainWindow
    from .managing import Managing

    class Posts(QObject):
        posted = Signal(object)

    posts = Posts()
    posts.posted.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
    machines = Machines(posts.posted.emit)
    background = Background(posts.posted.emit)
    window = MainWindow(machines, background, load())
    managing = Managing(window, machines, posts.posted.emit)
    create = CreateTabs(window, machines)

    def open_names(request: OpenRequest) -> None:
        for name in request.names:
            window.open_machine(name)
        window.show()
        window.raise_()
        window.activateWindow()

    first = FirstInstance(lambda request: posts.posted.emit(lambda: open_names(request)))
    machines.open()
    open_names(OpenRequest(list(names)))
    try:
        status = run_loop(app)
    finally:
        first.close()
        managing.close()
        create.close()
        machines.close()
        background.close(2.0)
    if status:
        raise SystemExit(status)
