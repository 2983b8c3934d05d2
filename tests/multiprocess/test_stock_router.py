"""A screen through a stock router: the same as zenohd with its defaults.

No registry that kju installs from has zenohd. It is a program around a session: it opens one
with zenoh's default settings as a router with an admin space, and waits. So does this one.

Source:
    zenohd/src/main.rs, `config_from_args`, of eclipse-zenoh/zenoh.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import xservers
from support.link_scene import free_port
from support.wait import until

import kju
from kju.errors import KjuError, UnavailableError

pytest.importorskip("zenoh")
KJU = (sys.executable, "-m", "kju.cli")
#: As ``zenohd --listen PLACE --no-multicast-scouting``: no scouting beyond this computer.
STOCK = """
import json, sys, threading, zenoh
config = zenoh.Config()
for name, value in {"mode": "router", "adminspace/enabled": True, "listen/endpoints": sys.argv[1:],
                    "scouting/multicast/enabled": False}.items():
    config.insert_json5(name, json.dumps(value))
session = zenoh.open(config)
print("open", flush=True)
threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> None:
    xservers.need()


@pytest.fixture
def place() -> str:
    return f"tcp/127.0.0.1:{free_port()}"


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process and wait for its first line."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def stock(place: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return running(sys.executable, "-c", STOCK, place)


def draw(machine: kju.Machine, colour: str) -> None:
    xservers.do(machine.info()["xvfb"]["display"], "xsetroot", "-solid", colour)


def shows(mirror: kju.Machine, machine: kju.Machine) -> bool:
    try:
        seen, there = mirror.screen.frame(pixels="bgrx"), machine.screen.frame(pixels="bgrx")
    except UnavailableError:
        return False
    return seen.shape == there.shape and np.array_equal(seen[..., :3], there[..., :3])


def follow(mirrors: list[kju.Machine], machine: kju.Machine) -> None:
    for mirror in mirrors:
        until(lambda: shows(mirror, machine), "the mirror shows the screen")  # noqa: B023


def test_stock_router_carries_a_screen(place: str) -> None:
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(kju.launch(xvfb=True, name="x"))
        router = stack.enter_context(stock(place))
        serving = ("serve", "x", "--prefix", "lab", "--connect", place, "--insecure")
        stack.enter_context(running(*KJU, *serving))
        listed = subprocess.run([*KJU, "ls", "--remote", "--connect", place, "--json"],
                                capture_output=True, text=True, check=True, timeout=60)  # fmt: skip
        assert json.loads(listed.stdout) == [{"address": "zenoh:lab/x"}]
        mirrors = [
            stack.enter_context(kju.mirror("zenoh:lab/x", connect=[place], **how))
            for how in ({}, *[{"role": "view", "audience": True}] * 3)
        ]
        for colour in ("#204060", "#a0b0c0"):
            draw(machine, colour)
            follow(mirrors, machine)
        with pytest.raises(KjuError, match="xdotool"):  # the host of an Xvfb rejects keys
            mirrors[0].keyboard.press("a")
        router.kill()
        router.wait()
        draw(machine, "#c0ffee")
        for mirror in mirrors:
            until(lambda: not mirror.info()["mirror"]["up"], "the loss is reported")  # noqa: B023
        stack.enter_context(stock(place))
        follow(mirrors, machine)
