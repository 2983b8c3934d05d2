"""Test files that take longest. Workers begin with them: else one still runs when the others end.

Only the time of a run depends on this. `pytest --durations=0` shows the times.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

#: Seconds of processor time, about. Tests on Ray mostly wait: the seconds that they take.
SECONDS = {
    "qemu/test_documentation.py": 200,
    "qemu/test_sample_guest.py": 85,
    "qemu/test_cli.py": 65,
    "qemu/test_gym.py": 55,
    "qemu/test_detached_launch.py": 50,
    "qemu/test_typing_pace.py": 50,
    "qemu/test_window.py": 47,
    "qemu/test_fork_chaos.py": 45,
    "qemu/test_examples.py": 42,
    "qemu/test_life.py": 34,
    "qemu/test_display1.py": 30,
    "qemu/test_vram_guests.py": 29,
    "qemu/test_remote.py": 29,
    "qemu/test_power_button.py": 27,
    "qemu/test_terminal.py": 22,
    "qemu/test_disks.py": 22,
    "qemu/test_dry_run.py": 22,
    "qemu/test_window_sizes.py": 21,
    "qemu/test_snapshots.py": 21,
    "qemu/test_host.py": 21,
    "qemu/test_text_modes.py": 20,
    "qemu/test_vram_denied.py": 17,
    "qemu/test_boards.py": 16,
    "qemu/test_resize.py": 16,
    "qemu/test_vram_machines.py": 15,
    "qemu/test_typing.py": 15,
    "qemu/test_console_window.py": 15,
    "qemu/test_paste.py": 13,
    "qemu/test_vram.py": 13,
    "qemu/test_pointer.py": 10,
    "typing/test_documentation.py": 20,
    "typing/test_public.py": 20,
    "integration/codegen/test_recorder.py": 20,
    "integration/agents/mcp/test_http.py": 14,
    "integration/cli/test_web.py": 10,
    "integration/desktop/test_managing.py": 7,
    "integration/agents/mcp/test_server.py": 6,
    "integration/desktop/test_main_window.py": 5,
    "property/test_typing.py": 4,
    "integration/viewers/qt/test_heads.py": 4,
    "multiprocess/test_fleet_on_ray.py": 150,
    "multiprocess/test_fleet_gym.py": 120,
    "multiprocess/test_fleet_commands.py": 100,
    "tools/test_programs.py": 76,
    "multiprocess/test_fleet_network.py": 64,
    "multiprocess/test_far.py": 60,
    "multiprocess/test_xvfb.py": 50,
    "multiprocess/test_senders.py": 25,
    "multiprocess/test_stock_router.py": 16,
}


def seconds(path: Path) -> int:
    """Return about how long a test file takes; 0 for one that is not among the longest."""
    return SECONDS.get(path.relative_to(TESTS).as_posix(), 0) if TESTS in path.parents else 0
