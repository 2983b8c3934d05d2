"""SHELL: the first steps of a new user: check the setup, start the sample guest.

Both take seconds or minutes: call them on a thread of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable

from ..client import launching
from ..errors import MachineExistsError
from ..files import make_folders
from ..guests import sample
from ..store.paths import definitions_folder, is_defined
from .wall.empty import Setup, setup_of

#: Name of the machine that shows the sample guest.
_SAMPLE_NAME = "sample"
_DISK = "sample-guest.qcow2"
#: Seconds for `kju doctor`: it tries KVM out, once for each boot of the computer.
_DOCTOR_SECONDS = 60.0


class SetupCheck:
    """One look at this computer's setup, as `kju doctor` finds it. May be cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._doctor: subprocess.Popen[str] | None = None

    def run(self) -> Setup:
        """Return the setup; nothing is known of it after a failure."""
        try:
            with self._lock:
                if self._cancelled:
                    return Setup()
                self._doctor = subprocess.Popen(
                    [sys.executable, "-m", "kju.cli", "doctor", "--json"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    errors="replace",
                )
            with self._doctor:
                return setup_of(json.loads(self._doctor.communicate(timeout=_DOCTOR_SECONDS)[0]))
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.cancel()
            return Setup(known=True)

    def cancel(self) -> None:
        """End `run` soon."""
        with self._lock:
            self._cancelled = True
            if self._doctor is not None:
                self._doctor.kill()


def start_sample(report: Callable[[str], object]) -> str:
    """Start the sample guest as a machine of its own; return its name.

    Args:
        report: Called with one line of progress for each step.

    Raises:
        GuestError: The guest cannot be built.
        KjuError: The machine cannot be defined or started.
    """
    if not is_defined(_SAMPLE_NAME):
        disk = definitions_folder().parent / _DISK
        if not disk.exists():
            report("building the sample guest")
            make_folders(disk.parent)
            sample.copy(disk, report)
        launching.define(_SAMPLE_NAME, disk, memory=sample.MEMORY)
    report(f"starting {_SAMPLE_NAME}")
    try:
        launching.start(_SAMPLE_NAME, detach=True).close()
    except MachineExistsError:
        pass  # it runs already
    return _SAMPLE_NAME
