"""Reports: the screen, input and waits of a machine, as one HTML file.

`recording` begins a `Record`; no test runner is needed::

    with kju.launch("disk.qcow2") as machine:
        with kju.report.recording(machine, "report.html"):
            machine.screen.wait_text("login:", timeout=60)
"""

from __future__ import annotations

from .record import Record, recording, save
from .story import Failure

__all__ = ["Failure", "Record", "recording", "save"]
