"""Recording in a console window: start and stop, the time in the strip, and the player."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QToolButton

from ....errors import KjuError
from ....escaping import one_line
from ....files import make_folders
from ...contract import ViewCommand
from ...targets import MachineTarget
from ...tools.recording import Recorded, VideoRecorder, clock
from ...tools.video import KINDS, missing_recorder
from .. import icons
from ..background import QtBackground
from ..menu import Section
from ..palette import ScalingButton, plain_tooltip
from ..view_parts import ViewParts

_TICK_MS = 1000
_FILTERS = ";;".join(f"{kind.title} (*{kind.suffix})" for kind in KINDS.values())
_VIDEOS = f"Videos ({' '.join(f'*{suffix}' for suffix in KINDS)})"


class RecordTool(QObject):
    """The recording of one window."""

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self._background = QtBackground(self)
        self._recorder: VideoRecorder | None = None
        self._last: Path | None = None
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._show_time)
        self._indicator = self._make_indicator()
        console.add_to_strip(self._indicator)
        add = console.menu.add
        self._record = add(
            Section.TOOLS, "Record", self.toggle, icon="record", command=ViewCommand.RECORD
        )
        self._record_as = add(Section.TOOLS, "Record as\N{HORIZONTAL ELLIPSIS}", self.record_as)
        self._play = add(Section.TOOLS, "Play a recording\N{HORIZONTAL ELLIPSIS}", self.play)
        reason = missing_recorder()
        if reason:
            console.menu.set_refusal(self._play, reason)
        if self._target is None:
            reason = reason or "only machines are recorded"
        for action in (self._record, self._record_as):
            console.menu.set_refusal(action, reason)

    @property
    def _target(self) -> MachineTarget | None:
        """The current view's screen; None if it is not a machine's."""
        target = self._console.view.viewer.target
        return target if isinstance(target, MachineTarget) else None

    def _make_indicator(self) -> QToolButton:
        button = ScalingButton()
        button.setIcon(icons.icon("record"))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setAutoRaise(True)
        button.setToolTip(plain_tooltip("Stop the recording"))
        button.setAccessibleName("Stop the recording")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(self.stop)
        button.hide()
        return button

    @property
    def recording(self) -> bool:
        """True while a recording is written."""
        return self._recorder is not None

    def toggle(self) -> None:
        """Begin a recording in the user's folder of videos, or end the present one."""
        if self._recorder is not None:
            self.stop()
        elif (target := self._target) is not None:
            self.record(_video_path(target.name))

    def record_as(self) -> None:
        """Ask for a file, and begin a recording in it."""
        target = self._target
        if target is None or self._recorder is not None:
            return
        path = _video_path(target.name)
        dialog = QFileDialog(self._console.window, "Record", str(path.parent), _FILTERS)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(".mp4")
        dialog.selectFile(path.name)
        dialog.filterSelected.connect(
            lambda words: dialog.setDefaultSuffix(words.partition("*")[2].rstrip(")"))
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.record(Path(path)))
        dialog.open()

    def record(self, path: Path) -> None:
        """Begin a recording in a new file."""
        target = self._target
        if target is None or self._recorder is not None:
            return
        try:
            self._recorder = VideoRecorder(
                target.name, target.console, path, self._post_end, with_input=target.controls
            )  # fmt: skip
        except KjuError as error:
            self._console.notify(one_line(str(error)))
            return
        self._console.menu.set_text(self._record, "Stop the recording")
        self._console.menu.set_refusal(self._record_as, "a recording is being written")
        self._indicator.setEnabled(True)
        self._indicator.show()
        self._timer.start()
        self._show_time()

    def stop(self) -> None:
        """End the recording; the file is finished on its thread."""
        if self._recorder is not None:
            self._indicator.setEnabled(False)
            self._recorder.stop()

    def close(self) -> None:
        """End the recording: the window closes. The process waits for the file."""
        self._timer.stop()
        if self._recorder is not None:
            self._recorder.stop()

    def play(self) -> None:
        """Ask for a video and play it in a window of its own."""
        folder = self._last.parent if self._last is not None else _videos_folder()
        dialog = QFileDialog(self._console.window, "Play a recording", str(folder), _VIDEOS)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        if self._last is not None:
            dialog.selectFile(self._last.name)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._open_player)
        dialog.open()

    def _open_player(self, path: str) -> None:
        from .player import PlayerWindow

        PlayerWindow(path, self._console.window).show()

    def _show_time(self) -> None:
        if self._recorder is None:
            return
        time_shown = clock(self._recorder.seconds)
        self._indicator.setText(f"REC {time_shown}")
        self._indicator.setAccessibleName(f"Recording, {time_shown}; stop")

    def _post_end(self, recorded: Recorded) -> None:
        self._background.post(lambda: self._ended(recorded))

    def _ended(self, recorded: Recorded) -> None:
        self._recorder = None
        self._timer.stop()
        self._indicator.hide()
        self._console.menu.set_text(self._record, "Record")
        self._console.menu.set_refusal(self._record_as, "")
        if recorded.playable:
            self._last = recorded.path
        self._console.notify(one_line(recorded.words))


def _videos_folder() -> Path:
    """Return the user's folder of videos, which is made if it is missing; else this folder."""
    found = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
    folder = Path(found) if found else Path.cwd()
    try:
        make_folders(folder)
    except KjuError:
        return Path.cwd()
    return folder


def _video_path(machine: str) -> Path:
    """Return a path for a recording in the user's folder of videos."""
    # The name of a remote screen has slashes.
    return _videos_folder() / time.strftime(f"{machine.replace('/', '-')}-%Y%m%d-%H%M%S.mp4")
