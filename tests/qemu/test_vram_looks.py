"""The guest's video memory: access for clients, idle time without viewers, rates of viewers."""

from __future__ import annotations

import os
import subprocess
import time

import numpy as np
import pytest
from support.paint_guest import MIB, MODE, Guest, cpu_seconds, sockets, traffic, video_memory
from support.wait import until

import kju
from kju.errors import RoleError
from kju.protocol.messages import GetLive, LiveHandle
from kju.surface.thumbnail import shrink

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]

#: Looks per second of a thumbnail.
RATE = 5.0


def test_view_client_gets_no_descriptor(guest: Guest) -> None:
    with pytest.raises(RoleError):
        guest.seen.view(live=True)
    before = set(os.listdir("/proc/self/fd"))
    frame = guest.seen.frame(pixels="bgrx")
    assert frame.shape == (600, 800, 4)
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1
    with pytest.raises(RoleError):
        guest.viewer._link.ask(GetLive(console=0), LiveHandle)


def test_memory_is_closed_to_other_users(guest: Guest) -> None:
    path = video_memory(guest.machine.info()["qemu"]["pid"])
    assert path.stat().st_mode & 0o777 == 0o400
    if os.getuid():
        with pytest.raises(PermissionError):
            os.open(path, os.O_RDWR)
        return
    program = (
        "import os\n"
        "for number, flags in ((@, os.O_RDWR), (@, os.O_RDONLY), (os.memfd_create('m'), 2)):\n"
        "    try: os.open(f'/proc/self/fd/{number}', flags); print('opened')\n"
        "    except PermissionError: print('refused')\n"
    )
    number = os.open(path, os.O_RDONLY)
    try:
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", program.replace("@", str(number))],
            pass_fds=[number],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
    finally:
        os.close(number)
    assert done.stdout.split() == ["refused", "refused", "opened"], done.stderr


@pytest.mark.parametrize("bits", [32, 16])
def test_source_rests_without_viewers(guest: Guest, bits: int) -> None:
    qemu, host = guest.machine.info()["qemu"]["pid"], guest.machine.host_pid
    guest.show(*MODE, bits=bits)
    guest.becomes("vram" if bits == 32 else "screendump")
    looking = sockets(qemu)
    log = guest.machine.log
    before = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "no client views it:" in log.read_text()[before:], "it rests")
        cpu, calls = cpu_seconds(host), traffic(host)
        time.sleep(1.0)  # the CPU time of this second is measured
        assert cpu_seconds(host) - cpu <= 0.1
        assert traffic(host) - calls <= 10
        guest.show(1024, 768, bits=bits)
        guest.monitor.execute("stop")
        dump = guest.monitor.screendump()
    finally:
        guest.look()
    first = guest.seen.frame()
    if bits == 32:
        assert np.array_equal(first, dump), "the first picture is a new one"
    guest.equals_paused()
    guest.monitor.execute("cont")
    guest.equals()
    # QEMU 10.0.2 keeps every listener that has disconnected: there was none.
    assert sockets(qemu) == looking


def test_lasting_mode_without_video_memory_uses_a_listener(guest: Guest) -> None:
    """A listener starts late, stays without viewers, and ends with the mode."""
    qemu, log = guest.machine.info()["qemu"]["pid"], guest.machine.log
    before = sockets(qemu)
    guest.show(*MODE, bits=16)
    guest.becomes("screendump")
    assert sockets(qemu) == before
    until(lambda: guest.source == "display1-map", "the listener")
    looking = sockets(qemu)
    guest.equals()
    read = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "keeping its listener" in log.read_text()[read:], "it rests")
    finally:
        guest.look()
    guest.becomes("display1")
    guest.equals()
    assert sockets(qemu) == looking
    read = len(log.read_text())
    guest.leave()
    try:
        until(lambda: "keeping its listener" in log.read_text()[read:], "it rests")
        # Change to a linear mode without viewers.
        guest.show(1024, 768)
        until(lambda: "stopping its source" in log.read_text()[read:], "the listener is stopped")
    finally:
        guest.look()
    guest.becomes("vram")
    guest.equals()


def shows(screen: kju.Screen, dump: np.ndarray) -> bool:
    """Return whether the thumbnail is that of QEMU's own picture."""
    if screen.mode[:2] != dump.shape[1::-1]:
        return False
    wanted = shrink(np.dstack((dump[..., ::-1], dump[..., 0])), 160, 120)
    return np.array_equal(screen.thumbnail(160, 120), wanted)


def test_host_looks_at_the_rate_of_a_thumbnail(guest: Guest) -> None:
    guest.leave()
    try:
        with kju.attach(guest.machine.name, "view", rate=RATE) as viewer:
            screen = viewer.screen
            info = viewer.info()
            assert info["consoles"][0]["rate"] == RATE
            views = [client["views"] for client in info["clients"] if client["views"]]
            assert views == [[{"console": 0, "rate": RATE}]]
            assert info["consoles"][0]["source"] == "vram"
            began, version = time.monotonic(), screen.version
            for number in range(20):
                guest.tell(f"fill {number} 0 {MIB}")
            # One publication for each look, however often the guest draws.
            most = (time.monotonic() - began) * RATE + 2
            assert screen.version - version <= most
            with guest.monitor.paused():
                dump = guest.monitor.screendump()
                until(lambda: shows(screen, dump), "the picture")
            guest.show(640, 480)
            until(lambda: screen.mode[:2] == (640, 480), "the mode after its pixels")
            guest.show(*MODE, bits=16)
            until(lambda: guest.source == "screendump", "screenshots of another mode")
            with guest.monitor.paused():
                dump = guest.monitor.screendump()
                until(lambda: shows(screen, dump), "the picture of another mode")
            read = len(guest.machine.log.read_text())
            screen.set_rate(0)
            until(lambda: "no client views it" in guest.machine.log.read_text()[read:])
            screen.set_rate(None)
            assert guest.console()["rate"] is None
    finally:
        guest.look()
    guest.equals()
