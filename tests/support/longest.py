"""Test files that take longest. Workers begin with them: else one still runs when the others end.

Only the time of a run depends on this. `pytest --durations=0` shows the times.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

#: Seconds of processor time, about.
SECONDS = {
    "qemu/test_documentation.py": 240,
    "qemu/test_cli.py": 105,
    "qemu/test_window.py": 90,
    "qemu/test_vram_guests.py": 80,
    "qemu/test_examples.py": 60,
    "qemu/test_snapshots.py": 60,
    "qemu/test_display1.py": 60,
    "qemu/test_vram_machines.py": 50,
    "qemu/test_life.py": 45,
    "qemu/test_console_window.py": 40,
    "qemu/test_window_sizes.py": 40,
    "qemu/test_remote.py": 40,
    "qemu/test_power_button.py": 33,
    "qemu/test_typing_pace.py": 30,
    "qemu/test_guests.py": 30,
    "qemu/test_disks.py": 28,
    "qemu/test_host.py": 27,
    "qemu/test_vram_resets.py": 25,
    "qemu/test_vram_looks.py": 25,
    "qemu/test_vram.py": 25,
    "qemu/test_locks.py": 20,
    "qemu/test_boards.py": 20,
    "qemu/test_sample_guest.py": 20,
    "typing/test_documentation.py": 20,
    "typing/test_public.py": 20,
    "multiprocess/test_far.py": 60,
    "multiprocess/test_xvfb.py": 50,
    "multiprocess/test_senders.py": 25,
    "multiprocess/test_stock_router.py": 16,
}


def seconds(path: Path) -> int:
    """Return about how long a test file takes; 0 for one that is not among the longest."""
    return SECONDS.get(path.relative_to(TESTS).as_posix(), 0) if TESTS in path.parents else 0
