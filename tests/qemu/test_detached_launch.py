"""Detached launches that are interrupted: the machine is up and reported, or it has ended."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import leftovers
from support.wait import until

import kju
import kju.aio
from kju.client.targets import running_names
from kju.errors import UsageError
from kju.protocol.launch_options import Detach
from kju.protocol.messages import Done
from kju.store import sweeping

pytestmark = pytest.mark.qemu

QEMU = ("-accel", "tcg", "-m", "16", "-S")
RUN = (sys.executable, "-m", "kju.cli", "run", "--detach", "--name", "m", "--", *QEMU)
#: One in each of as many parts of a launch.
MOMENTS = 8


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> Path:
    return runtime_folder


def started() -> subprocess.Popen[str]:
    return subprocess.Popen(RUN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def seconds() -> float:
    """The time of a launch that is not interrupted."""
    before = time.monotonic()
    with started() as command:
        assert command.wait() == 0, command.communicate()
    after = time.monotonic()
    with kju.attach("m") as machine:
        assert machine.info()["detached"]
        machine.stop()
    return after - before


def end_or_check(up: bool, where: object, mark: str) -> None:
    """Check that the machine runs, and end it; or that nothing of it is left."""
    if up:
        with kju.attach("m") as machine:
            assert machine.info()["state"] == "paused", where
            machine.stop()

    def nothing_is_left() -> bool:
        sweeping.sweep()
        return not running_names() and not leftovers.marked(leftovers.TEST, mark)

    until(nothing_is_left, f"the machine has ended: {where}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_machine_of_an_interrupted_command_is_reported_or_ends(
    number: signal.Signals, seconds: float, tmp_path: Path
) -> None:
    choose, outcomes = random.Random(int(number)), set()
    for part in range(MOMENTS):
        moment = (0.2 + (part + choose.random()) / MOMENTS) * seconds
        with started() as command:
            time.sleep(moment)
            command.send_signal(number)
            output, errors = command.communicate()
        reported = output.startswith("m is running")
        assert "Traceback" not in errors
        assert reported or command.returncode, (output, errors)
        outcomes.add(reported)
        end_or_check(reported, (moment, output, errors), str(tmp_path))
    assert outcomes  # which of both depends on the computer


def test_machine_of_a_cancelled_task_is_returned_or_ends(seconds: float, tmp_path: Path) -> None:
    choose = random.Random(7)

    async def launch_and_cancel(part: int) -> bool:
        launching = asyncio.create_task(kju.aio.launch(args=QEMU, name="m", detach=True))
        await asyncio.sleep((part + choose.random()) / MOMENTS * seconds)
        launching.cancel()
        try:
            machine = await launching
        except asyncio.CancelledError:
            # The name is free, and no process is left to wait for.
            assert running_names() == []
            return False
        await machine.close()
        return True

    for part in range(MOMENTS):
        end_or_check(asyncio.run(launch_and_cancel(part)), part, str(tmp_path))


def test_only_the_launcher_detaches_a_machine() -> None:
    with kju.launch(args=QEMU, name="m") as machine, kju.attach("m") as other:
        for each in (machine, other):
            with pytest.raises(UsageError, match="by the program that launches it"):
                each._link.ask(Detach(), Done)


def test_launcher_learns_the_status_of_a_host_that_is_killed(tmp_path: Path) -> None:
    hangs = tmp_path / "qemu"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)

    def kill_the_host() -> None:
        until(lambda: hosts(str(tmp_path)), "the host")
        os.kill(hosts(str(tmp_path))[0], signal.SIGKILL)

    async def launch() -> None:
        killing = asyncio.to_thread(kill_the_host)
        launching = kju.aio.launch(args=QEMU, name="m", qemu=str(hangs), detach=True)
        _, result = await asyncio.gather(killing, launching, return_exceptions=True)
        assert "status 137" in str(result)

    asyncio.run(launch())
    for pid in leftovers.marked(leftovers.TEST, str(tmp_path)):
        os.kill(pid, signal.SIGKILL)  # the QEMU that hangs is no child of the host yet


def hosts(mark: str) -> list[int]:
    """Return the hosts that this test has started, without the processes that wait for them."""
    found = {
        pid for pid, line in leftovers.marked(leftovers.TEST, mark).items() if "kju.host" in line
    }
    return [pid for pid in found if parent(pid) in found]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0
