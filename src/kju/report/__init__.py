"""Reports: what a machine showed and what was done to it, as one HTML file.

`recording` begins a `Record`; it can be used without any test runner::

    with kju.launch("disk.qcow2") as machine:
        with kju.report.recording(machine, "report.html"):
            machine.screen.wait_text("login:", timeout=60)
"""

from __future__ import annotations

from .record import Record, recording, save
from .story import Failure

__all__ = ["Failure", "Record", "recording", "save"]
