"""A mirror's viewers decide how often the served machine is compared, and how much is sent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support import xservers
from support.wait import until

import kju

pytest.importorskip("zenoh")
pytestmark = pytest.mark.usefixtures("runtime_folder")
INVADERS = "/usr/games/xinv3d"
SECONDS = 1.5


class Cost(NamedTuple):
    """What a mirror costs.

    Attributes:
        received: Bytes per second.
        cpu: Ticks of the served machine's host and of its sender.
    """

    received: float
    cpu: int


def ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def measure(mirror: kju.Machine, processes: list[int]) -> Cost:
    time.sleep(0.5)
    began, received, cpu = time.monotonic(), got(mirror), sum(map(ticks, processes))
    time.sleep(SECONDS)
    used = sum(map(ticks, processes)) - cpu
    return Cost((got(mirror) - received) / (time.monotonic() - began), used)


def got(mirror: kju.Machine) -> int:
    received: int = mirror.info()["mirror"]["received"]
    return received


def rate(machine: kju.Machine) -> float | None:
    found: float | None = machine.info()["consoles"][0]["rate"]
    return found


def views(machine: kju.Machine) -> list[dict[str, object]]:
    """Return what the sender views of a served machine."""
    clients = machine.info()["clients"]
    return [view for each in clients if each["name"] == "kju serve" for view in each["views"]]


def test_rate_of_a_mirrors_viewers_reaches_the_served_machine() -> None:
    xservers.need(INVADERS)
    command = [sys.executable, "-m", "kju.cli", "serve", "x", "--prefix", "lab"]
    with (
        kju.launch(xvfb=True, name="x") as machine,
        xservers.program(machine.info()["xvfb"]["display"], INVADERS),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender,
    ):
        try:
            assert sender.stdout is not None
            assert "serving" in sender.stdout.readline()
            machine.screen.set_rate(0)
            processes = [machine.info()["host"]["pid"], sender.pid]
            with kju.mirror("zenoh:lab/x") as mirror:
                assert mirror.screen.version
                until(lambda: rate(machine) is None, what="the mirror's own pace")
                mirror.screen.set_rate(2)
                until(lambda: rate(machine) == 2, what="a thumbnail's rate arrives")
                thumbnail = measure(mirror, processes)
                with kju.attach(mirror.name, role="view", rate=60) as window:
                    assert window.screen.version
                    until(lambda: rate(machine) == 60, what="a faster viewer decides")
                until(lambda: rate(machine) == 2, what="it has left")
                mirror.screen.set_rate(0)
                until(lambda: not views(machine), what="the machine is not viewed any more")
                assert mirror.info()["mirror"]["up"]
                mirror.screen.set_rate(None)
                until(lambda: rate(machine) is None, what="the mirror's own pace again")

                def costs_more() -> bool:
                    full = measure(mirror, processes)
                    return full.received > thumbnail.received * 3 and full.cpu > thumbnail.cpu * 2

                # A busy computer slows the game, and with it what its own pace costs.
                until(costs_more, what="its own pace costs more than a thumbnail's")
        finally:
            sender.terminate()
