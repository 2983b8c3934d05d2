"""A mirror's viewers decide how often the served machine is compared, and how much is sent."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

import pytest
from support import xservers
from support.wait import until

import kju

pytest.importorskip("zenoh")
pytestmark = pytest.mark.usefixtures("runtime_folder")
INVADERS = "/usr/games/xinv3d"
SECONDS = 1.5
#: Of a thumbnail: looks per second.
RATE = 2


class Pace(NamedTuple):
    """What was done for a mirror.

    Attributes:
        seconds: In this time.
        versions: How often a change was found on the served machine.
        received: The bytes that the mirror has received.
    """

    seconds: float
    versions: int
    received: int


def measure(mirror: kju.Machine, machine: kju.Machine) -> Pace:
    # What was found at the rate before may still be on its way.
    time.sleep(0.5)
    began, version, received = time.monotonic(), machine.screen.version, got(mirror)
    time.sleep(SECONDS)
    found = machine.screen.version - version
    return Pace(time.monotonic() - began, found, got(mirror) - received)


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
            with kju.mirror("zenoh:lab/x") as mirror:
                assert mirror.screen.version
                until(lambda: rate(machine) is None, what="the mirror's own pace")
                mirror.screen.set_rate(RATE)
                until(lambda: rate(machine) == RATE, what="a thumbnail's rate arrives")
                thumbnail = measure(mirror, machine)
                # A busy computer only makes it slower.
                assert thumbnail.versions <= thumbnail.seconds * RATE + 1
                with kju.attach(mirror.name, role="view", rate=60) as window:
                    assert window.screen.version
                    until(lambda: rate(machine) == 60, what="a faster viewer decides")
                until(lambda: rate(machine) == RATE, what="it has left")
                mirror.screen.set_rate(0)
                until(lambda: not views(machine), what="the machine is not viewed any more")
                assert mirror.info()["mirror"]["up"]
                mirror.screen.set_rate(None)
                until(lambda: rate(machine) is None, what="the mirror's own pace again")

                def costs_more() -> bool:
                    full = measure(mirror, machine)
                    return (
                        full.versions > full.seconds * RATE * 2
                        and full.received > thumbnail.received * 2
                    )

                # A busy computer slows the game, and with it what its own pace costs.
                until(costs_more, what="its own pace costs more than a thumbnail's")
        finally:
            sender.terminate()
