"""The guest's video memory as a source: the published picture always equals QEMU's screendump."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.follower import Follower
from support.paint_guest import MODE, Guest, cpu_seconds, sockets
from support.wait import until

from kju.emulators.qemu.display.guest_mode import LISTEN_AFTER

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]


# ---- Modes


def test_video_memory_is_the_source_without_a_listener(guest: Guest) -> None:
    console = guest.console()
    assert (console["source"], console["reason"], console["no_vram"]) == ("vram", "", "")
    guest.equals()
    view = guest.screen.view(live=True)
    assert view.shape == (600, 800, 4)
    guest.tell("block 10 20 5 5 0x123456")
    assert (view[20:25, 10:15, :3] == (0x56, 0x34, 0x12)).all(), "without a copy"


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        ((800, 600, 0, 0, 500), (800, 600)),
        ((1024, 768, 1400, 333, 77), (1024, 768)),
        ((1277, 600), (1272, 600)),
        ((2048, 2048), (2048, 2048)),
        ((2560, 1600), (2560, 1600)),
        ((640, 400, 4096, 3456, 624), (640, 400)),
        ((8, 8), (8, 8)),
        ((16000, 200), (16000, 200)),
    ],
)
def test_every_mode_is_published(
    guest: Guest, numbers: tuple[int, ...], size: tuple[int, int]
) -> None:
    guest.show(*numbers)
    assert guest.equals().shape[1::-1] == size
    guest.becomes("vram")
    assert guest.screen.mode[:2] == size


def test_panning_and_page_flips_are_followed(guest: Guest) -> None:
    epoch = guest.screen.mode.epoch
    for index, value in ((8, 600), (9, 600), (9, 0), (8, 0), (9, 17), (8, 24), (9, 1200)):
        guest.tell(f"reg {index} {value}")
        guest.equals()
    for line in ("flips 400 16000", "pans 400 10000", "flips 300 500"):
        guest.tell(line)
        guest.equals()
    assert guest.screen.mode.epoch == epoch
    guest.becomes("vram")


def test_constant_page_flips_are_not_taken_for_a_blank_screen(guest: Guest) -> None:
    """A flip during a comparison with a screendump must not count as a difference."""
    log = guest.machine.log
    before = len(log.read_text())
    guest.tell("flips 3500 3000")
    assert "QEMU shows another picture" not in log.read_text()[before:]
    assert guest.source == "vram"
    guest.equals()


def test_changes_at_another_start_address_are_followed(guest: Guest) -> None:
    guest.show(800, 600, 1024, 100, 50)
    guest.equals()
    guest.tell(f"block 100 50 800 600 0xabcdef {1024 * 4}")
    assert (guest.equals() == (0xAB, 0xCD, 0xEF)).all()


# ---- States that the memory does not show


def test_reading_capabilities_is_not_a_mode_change(guest: Guest) -> None:
    epoch = guest.seen.mode.epoch
    dump = guest.equals()
    guest.tell("reg 4 0xc3")
    assert guest.tell("reg 1") == "kju: reg 1 16000"
    guest.becomes("screendump", "after the doubt")
    assert np.array_equal(guest.equals(), dump)
    assert guest.seen.mode[:2] == MODE
    guest.tell("reg 4 0xc1")
    guest.becomes("vram", "back")
    guest.equals()
    assert guest.seen.mode.epoch <= epoch + 2


def test_short_read_of_capabilities_changes_nothing(guest: Guest) -> None:
    epoch = guest.seen.mode.epoch
    for _ in range(3):
        guest.tell("reg 4 0xc3")
        guest.screen.refresh()
        guest.tell("reg 4 0xc1")
        guest.screen.refresh()
        assert guest.source == "vram"
    assert guest.seen.mode.epoch == epoch


@pytest.mark.parametrize("index", [0x00, 0x01])
def test_blanked_screen_is_black(guest: Guest, index: int) -> None:
    """Index 0 does not tell, so QEMU is asked for its picture; other indexes do."""
    guest.tell("port 0x3da")
    guest.tell(f"port 0x3c0 {index}")
    until(lambda: not guest.seen.frame().any(), "it is black")
    until(lambda: "blanked" in str(guest.console()["reason"]), "the reason is reported")
    guest.equals()
    guest.tell("block 5 5 50 50 0xffffff")
    assert not guest.equals().any(), "drawn upon, it stays black"
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 0x20")
    until(lambda: guest.source == "vram", "it is watched again")
    assert guest.equals().any()


def test_blanking_a_black_screen_does_not_alternate_sources(guest: Guest) -> None:
    guest.tell("block 0 0 800 600 0")
    guest.equals()
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 1")
    log = guest.machine.log
    before = len(log.read_text())
    end = time.monotonic() + 3.0  # counts the changes of source within this time
    while time.monotonic() < end:
        assert not guest.seen.frame().any()
        time.sleep(0.05)
    assert log.read_text()[before:].count("vram running") <= 2
    guest.tell("port 0x3da")
    guest.tell("port 0x3c0 0x20")


def test_vga_registers_are_ignored_in_a_linear_mode(guest: Guest) -> None:
    """QEMU ignores doubled lines and text mode while a linear mode is on."""
    for port, index, value in ((0x3D4, 9, 0xC1), (0x3CE, 6, 0), (0x3CE, 5, 0x20), (0x3C4, 4, 0)):
        guest.tell(f"port {port} {index}")
        guest.tell(f"port {port + 1} {value}")
        guest.equals()
    assert guest.source == "vram"


def test_another_byte_order_uses_a_listener(guest: Guest) -> None:
    guest.tell("set 640 400 32")
    guest.tell("order 0xbebebebe")
    guest.tell("set 1024 768 32")
    guest.becomes("screendump")
    guest.equals()
    guest.tell("order 0x1e1e1e1e")
    guest.show(*MODE)
    guest.becomes("vram")
    guest.equals()


def test_changes_between_sources_publish_no_placeholder(guest: Guest) -> None:
    """Every change between sources publishes only pictures that were on the screen."""
    with Follower(guest.machine.name) as recorder:
        for bits, size in ((16, (1024, 768)), (32, MODE), (8, (1280, 800)), (32, MODE), (24, MODE)):
            guest.show(*size, bits=bits)
            guest.becomes("vram" if bits == 32 else "screendump")
            dump = guest.equals()
            assert dump.shape[1::-1] == size
            until(lambda dump=dump: recorder.equals(dump), f"what is kept, at {bits} bits")
        assert set(recorder.modes) <= {MODE, (1024, 768), (1280, 800)}, recorder.modes
        assert len(recorder.modes) <= 9
        if recorder.black:
            # The memory is not cleared here, but eight bits have their own palette.
            assert {c.mode[:2] for c in recorder.black} <= {(1280, 800)}


def test_text_mode_and_back_is_followed(shared: Guest, guest: Guest) -> None:
    guest.tell("save")
    with Follower(guest.machine.name) as recorder:
        guest.tell("restore")
        guest.becomes("screendump")
        guest.equals()
        guest.show(1024, 768)
        guest.becomes("vram")
        dump = guest.equals()
        until(lambda: recorder.equals(dump), "what is kept")


# ---- Hostile guests


@pytest.mark.parametrize("seconds", [5.0, pytest.param(60.0, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", ["storm", "random"])
def test_storm_of_modes_costs_bounded_work(guest: Guest, how: str, seconds: float) -> None:
    host = guest.machine.host_pid
    milliseconds = int(seconds * 1000)
    line = f"storm {milliseconds} 1000" if how == "storm" else f"random {milliseconds} 7 1000"
    surface, epoch = guest.seen.incarnation, guest.seen.mode.epoch
    qemu = guest.machine.info()["qemu"]["pid"]
    listeners = sockets(qemu)
    began, cpu = time.monotonic(), cpu_seconds(host)
    turns = int(guest.tell(line, seconds + 60).split()[-1])
    took, cpu = time.monotonic() - began, cpu_seconds(host) - cpu
    epochs = guest.seen.mode.epoch - epoch
    assert turns > 100 * seconds
    if guest.seen.incarnation != surface:  # an 8-bit mode is larger as a picture
        epochs = guest.seen.mode.epoch
    assert epochs <= 30 * took
    assert cpu <= 0.35 * took, f"{cpu / took:.0%} of a core, {epochs} epochs, {turns} changes"
    # One that lasted for ten seconds, each time, at most: QEMU 10.0.2 keeps them all.
    assert sockets(qemu) - listeners <= took / LISTEN_AFTER
    # If the storm stopped at capabilities, the last mode stays for half a second.
    with guest.monitor.paused():
        dump = guest.monitor.screendump()
        shown = lambda: np.array_equal(guest.screen.frame(sync=True), dump)  # noqa: E731
        until(shown, "the true mode")
        guest.equals_paused()
    guest.show(1024, 768)
    until(lambda: guest.seen.mode[:2] == (1024, 768), "the true mode")
    guest.becomes("vram")
    guest.equals()


# ---- Changes of the machine; these must come last, as they end the shared guest


def test_reset_by_qmp_is_followed(shared: Guest, guest: Guest) -> None:
    """BAR 2 has no address until the firmware sets it; the modes of the boot are followed."""
    # The first picture after a reset is black, in the size of QEMU's last one: this one's.
    guest.equals()
    with Follower(guest.machine.name) as recorder:
        guest.monitor.execute("system_reset")
        until(lambda: guest.seen.mode[:2] == (720, 400), "text, of the BIOS")
        guest.becomes("screendump")
        guest.serial.wait("^kju: ready", 90)
        until(lambda: guest.seen.mode[:2] == (1280, 800), "the guest's mode")
        guest.becomes("vram")
        dump = guest.equals()
        until(lambda: recorder.equals(dump), "what is kept")
    assert set(recorder.modes) <= {(640, 480), (720, 400), (1280, 800), MODE}, recorder.modes
