"""The pytest plug-in with real machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

SUITE = """
import pytest

pytestmark = pytest.mark.machine(args={args!r}, scope="module")
names = set()

def test_one(machine):
    machine.screen.wait_text("Another one", timeout={hang})
    names.add(machine.host_pid)

def test_two(machine, launch_machine):
    names.add(machine.host_pid)
    assert len(names) == 1  # the same as before
    other = launch_machine(args={game!r})
    other.screen.wait_change(timeout={hang})
    machine.keyboard.chord("down")
    machine.screen.wait_text("not there", timeout=0.5)

@pytest.mark.machine(name="mine", scope="function")
def test_three(machine):
    names.add(machine.host_pid)
    assert len(names) == 2 and machine.name == "mine"
"""


def test_plugin_shares_machines_and_reports_a_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE.format(args=guests.grub(), game=guests.invaders(), hang=HANG))
    words = ("-p", "pytest_kju", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:timeout")
    # A process of its own: some of its imports, such as Tesseract, cannot be imported twice.
    result = pytester.runpytest_subprocess(*words, "--kju-artifacts=kept")
    result.assert_outcomes(passed=2, failed=1)
    (folder,) = (pytester.path / "kept").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert {"screen.png", "input.jsonl", "wait.png", "report.html"} < names
    assert len(names) == 6  # and the other machine's screen and input
    assert Path(folder, "input.jsonl").read_text().count("\n") >= 1
    report = Path(folder, "report.html").read_text()
    assert "<bdi>down</bdi>" in report and "the text 'not there'" in report
    assert report.count('<section class="machine">') == 2
