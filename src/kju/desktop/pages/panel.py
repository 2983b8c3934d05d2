"""State of the side panel: facts about the selected machine, read when needed. No toolkit.

Everything that is read is read on a thread, one reading at a time for each kind: of the requests
during a reading one is kept. Nothing is read while the panel is hidden or shows another page, and
nothing by a timer.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from ...client.targets import all_info
from ...errors import KjuError
from ...escaping import one_line
from ...files import read_proc
from ...store import definitions
from ..actions import ActionRunner
from ..machines.entry import MachineEntry, MachineKey
from .details import DetailsSection, details
from .logs import LogText, read_logs

_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_MAX_FAULT = 300


class PanelPage(Enum):
    """A page of the side panel; the value is its title."""

    DETAILS = "Details"
    SNAPSHOTS = "Snapshots"
    EVENTS = "Events"
    LOG = "Log"


class PanelState(NamedTuple):
    """Facts on the panel.

    Attributes:
        entry: The machine; None for none.
        sections: Its details.
        fault: Why they are incomplete; empty if they are whole.
        log: The end of its logs.
    """

    entry: MachineEntry | None = None
    sections: tuple[DetailsSection, ...] = ()
    fault: str = ""
    log: LogText = LogText()


class PanelModel:
    """The state of the side panel. Used on the toolkit's thread.

    Args:
        runner: Runs the readings.
        post: Calls a function on the toolkit's thread, from any thread.
        changed: Called after each change of `state`.
    """

    def __init__(
        self,
        runner: ActionRunner,
        post: Callable[[Callable[[], None]], None],
        changed: Callable[[], None],
    ) -> None:
        self.state = PanelState()
        self._runner, self._post, self._changed = runner, post, changed
        self._page: PanelPage | None = PanelPage.DETAILS
        # The pages that are being read, and whether they have to be read again afterwards.
        self._reading: dict[PanelPage, bool] = {}

    def show_machine(self, entry: MachineEntry | None) -> None:
        """Show another machine, or a new state of this one."""
        before = self.state.entry
        if entry == before:
            return
        if entry is None or before is None or entry.key != before.key:
            self.state = PanelState(entry)
        else:
            self.state = self.state._replace(entry=entry)
        self._changed()
        self.refresh()

    def show_page(self, page: PanelPage | None) -> None:
        """Take the page that is visible; None for a hidden panel."""
        self._page = page
        self.refresh()

    def refresh(self) -> None:
        """Read the facts of the visible page."""
        entry, page = self.state.entry, self._page
        if entry is None or page not in (PanelPage.DETAILS, PanelPage.LOG):
            return
        if page in self._reading:
            self._reading[page] = True
            return
        read = _read_details if page is PanelPage.DETAILS else _read_log
        self._reading[page] = False

        def call() -> None:
            found = read(entry)
            self._post(lambda: self._take(page, entry.key, found))

        if not self._runner.submit(("panel", page, entry.key), call):
            del self._reading[page]

    def _take(self, page: PanelPage, key: MachineKey, found: dict[str, Any]) -> None:
        again = self._reading.pop(page, False)
        if self.state.entry is not None and self.state.entry.key == key:
            self.state = self.state._replace(**found)
            self._changed()
        else:
            again = True
        if again:
            self.refresh()


def _read_details(entry: MachineEntry) -> dict[str, Any]:
    """Return the parts of the state that `PanelPage.DETAILS` shows. It may wait."""
    info: dict[str, Any] | None = None
    definition, fault = None, ""
    if entry.is_local and entry.state.runs:
        answer = all_info([entry.name])[0]
        if isinstance(answer, KjuError):
            fault = one_line(str(answer), _MAX_FAULT)
        else:
            info = answer
    if entry.is_local and entry.defined:
        try:
            definition = definitions.read(entry.name).definition
        except KjuError as error:
            fault = fault or one_line(str(error), _MAX_FAULT)
    sections = details(
        entry,
        info,
        definition=definition,
        memory_use=_memory_use(info),
        now=time.time(),
        own=os.getpid(),
    )
    return {"sections": tuple(sections), "fault": fault}


def _memory_use(info: dict[str, Any] | None) -> int | None:
    """Return the bytes of memory that a machine's emulator uses; None if unknown."""
    emulator = info.get(str(info.get("kind"))) if info else None
    pid = emulator.get("pid") if isinstance(emulator, dict) else None
    if not isinstance(pid, int) or pid <= 0:
        return None
    try:
        found = _RESIDENT.search(read_proc(f"/proc/{pid}/status"))
    except OSError:
        return None
    return int(found[1]) << 10 if found else None


def _read_log(entry: MachineEntry) -> dict[str, Any]:
    """Return the parts of the state that `PanelPage.LOG` shows. It may wait for the disk."""
    if not entry.is_local:
        return {"log": LogText(note="Its log is on the computer where it runs.")}
    try:
        return {"log": read_logs(entry.name)}
    except (KjuError, OSError) as error:
        return {"log": LogText(note=one_line(str(error), _MAX_FAULT))}
