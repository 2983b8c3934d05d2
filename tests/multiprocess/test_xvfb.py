"""A real Xvfb through kju: pictures of X programs, and every way to start and end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import xservers
from support.wait import until

import kju
import kju.aio
from kju.client.targets import running_names
from kju.errors import (
    ConflictError,
    MachineGoneError,
    ProducerGoneError,
    RoleError,
    UnavailableError,
    UsageError,
    XvfbError,
)
from kju.memory._system import segment_remove

INVADERS = "/usr/games/xinv3d"
SHARED = pytest.mark.parametrize("how", ["fbdir", "shmem"])


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> Iterator[None]:
    """Fail a test that leaves a machine, a file or a shared memory segment."""
    xservers.need()
    before = xservers.left_behind()
    yield
    # Looking for machines removes the folder of a killed one.
    assert running_names() == []
    assert {path.name for path in runtime_folder.glob("*")} <= {".lock", ".accelerator.json"}
    until(lambda: xservers.left_behind() <= before, what="no segment is left")


def arguments(how: str, *more: str) -> list[str]:
    return [*(["-shmem"] if how == "shmem" else []), *more]


def display(machine: kju.Machine) -> str:
    found: str = machine.info()["xvfb"]["display"]
    return found


def shows(machine: kju.Machine, picture: np.ndarray) -> bool:
    published = machine.screen.view()[..., :3]
    return published.shape == picture.shape and np.array_equal(published, picture)


def until_equal(machine: kju.Machine, where: str) -> np.ndarray:
    """Wait until the published picture equals the server's, and return it."""
    found = []

    def equal() -> bool:
        found.append(xservers.picture(where))
        return shows(machine, found[-1])

    until(equal, "the published picture equals xwd's")
    return found[-1]


def kju_command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kju.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# -- the published picture


@SHARED
def test_drawing_of_x_programs_is_published(how: str) -> None:
    with kju.launch(xvfb=True, args=arguments(how)) as machine:
        where = display(machine)
        xservers.do(where, "xsetroot", "-solid", "#205080")
        with (
            xservers.program(where, "xterm", "-geometry", "80x24+20+20", "-e", "ls -l /; sleep 60"),
            xservers.program(where, "xclock", "-geometry", "300x300+800+100"),
        ):
            until(lambda: len(np.unique(xservers.picture(where)[100:300, 850:1050])) > 1)
            until(lambda: len(np.unique(xservers.picture(where)[20:300, 20:300])) > 1)
            picture = until_equal(machine, where)
            assert picture.shape == (800, 1280, 3)
            until(
                lambda: np.array_equal(
                    machine.screen.frame(pixels="bgrx")[..., :3], xservers.picture(where)
                )
            )
            for change in machine.screen.changes():
                assert change.rects
                break
        until_equal(machine, where)
        assert machine.info()["consoles"][0]["source"] == "xvfb"


@SHARED
def test_game_is_published_while_it_runs_and_when_it_rests(how: str) -> None:
    xservers.need(INVADERS)
    with kju.launch(xvfb=True, args=arguments(how)) as machine:
        where = display(machine)
        with xservers.program(where, INVADERS) as game:
            mark = machine.screen.mark
            for seen, change in enumerate(machine.screen.changes(mark, timeout=30), 1):
                assert change.mark.version > mark.version
                if seen == 30:
                    break
            game.send_signal(signal.SIGSTOP)
            picture = until_equal(machine, where)
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 4


@SHARED
def test_refreshed_frame_is_as_new_as_the_call(how: str) -> None:
    with kju.launch(xvfb=True, args=arguments(how)) as machine:
        where = display(machine)
        with kju.attach(machine.name, role="view") as viewer:
            for red in range(0, 200, 20):
                xservers.do(where, "xsetroot", "-solid", f"#{red:02x}4080")
                for one in (machine, viewer):
                    assert one.screen.frame(pixels="bgrx")[400, 640, :3].tolist() == [
                        0x80,
                        0x40,
                        red,
                    ]


def test_memory_of_the_server_needs_the_control_role() -> None:
    with kju.launch(xvfb=True) as machine, kju.attach(machine.name, role="view") as viewer:
        live = machine.screen.view(live=True)
        xservers.do(display(machine), "xsetroot", "-solid", "#102030")
        assert live[0, 0, :3].tolist() == [0x30, 0x20, 0x10]
        with pytest.raises(RoleError):
            viewer.screen.view(live=True)


def test_system_v_memory_is_not_handed_out() -> None:
    with (
        kju.launch(xvfb=True, args=["-shmem"]) as machine,
        pytest.raises(UnavailableError, match="-fbdir"),
    ):
        machine.screen.view(live=True)


def test_cursor_is_in_the_picture() -> None:
    with kju.launch(xvfb=True) as machine:
        where = display(machine)
        xservers.do(where, "xsetroot", "-solid", "#000000", "-cursor_name", "left_ptr")
        xservers.do(where, "xdotool", "mousemove", "640", "400")
        until(lambda: machine.screen.view()[400:420, 640:660, :3].any())
        assert not xservers.picture(where).any()
        assert not machine.screen.view()[:300, :, :3].any()


def test_smaller_mode_is_the_corner_of_the_picture() -> None:
    with kju.launch(xvfb=True) as machine:
        where = display(machine)
        mode = ["38.25", "800", "832", "912", "1024", "600", "603", "607", "624"]
        xservers.do(where, "xrandr", "--newmode", "small", *mode)
        xservers.do(where, "xrandr", "--addmode", "screen", "small")
        xservers.do(where, "xrandr", "--output", "screen", "--mode", "small")
        xservers.do(where, "xsetroot", "-solid", "#305070")
        small = xservers.picture(where)
        assert small.shape == (600, 800, 3)
        frame = machine.screen.frame(pixels="bgrx")
        assert frame.shape == (800, 1280, 4)
        assert np.array_equal(frame[:600, :800, :3], small)


def test_surface_can_be_a_named_file(tmp_path: Path) -> None:
    path = tmp_path / "screen"
    with kju.launch(xvfb=True, surface=path) as machine:
        xservers.do(display(machine), "xsetroot", "-solid", "#abcdef")
        surface = kju.Surface(str(path))
        until(lambda: surface.view()[5, 5, :3].tolist() == [0xEF, 0xCD, 0xAB])
        surface.close()


def test_source_rests_without_viewers() -> None:
    with kju.launch(xvfb=True) as machine:
        where = display(machine)
        with kju.attach(machine.name) as looker:
            assert looker.screen.mode.width == 1280
        until(lambda: "no client views it" in machine.log.read_text(), what="it rests")
        xservers.do(where, "xsetroot", "-solid", "#0a0b0c")
        with kju.attach(machine.name) as looker:
            assert looker.screen.view()[0, 0, :3].tolist() == [0x0C, 0x0B, 0x0A]


# -- how it starts and ends


def test_info_names_the_server_and_input_is_an_error() -> None:
    with kju.launch(xvfb=True, args=["-screen", "0", "640x480x24", "-dpi", "96"]) as machine:
        assert machine.name == "xvfb"
        info = machine.info()
        assert info["kind"] == "xvfb"
        assert info["xvfb"]["arguments"] == ["-screen", "0", "640x480x24", "-dpi", "96"]
        assert info["xvfb"]["memory"].startswith(info["host"]["folder"])
        assert (info["consoles"][0]["width"], info["consoles"][0]["height"]) == (640, 480)
        added = [part["arguments"][0] for part in info["appended"]]
        assert added == ["-fbdir", "-noreset", "-displayfd"]
        with pytest.raises(UsageError, match="no power button"):
            machine.powerdown()
        with pytest.raises(UsageError, match="xdotool"):
            machine.keyboard.type("x")
        pointer = machine.pointer
        for use in (
            pointer.click,
            lambda: pointer.move(1, 2),
            lambda: pointer.move_by(1, 2),
            lambda: pointer.drag((1, 2), (3, 4)),
            lambda: pointer.wheel(1),
            lambda: pointer.press("left"),
            lambda: pointer.is_absolute(),
        ):
            with pytest.raises(UsageError, match="xdotool"):
                use()
        with kju.launch(xvfb=True) as second:
            assert second.name == "xvfb-2"
            assert display(second) != display(machine)


async def test_asyncio_launches_a_server_with_arguments() -> None:
    async with await kju.aio.launch(xvfb=True, args=["-screen", "0", "320x200x24"]) as machine:
        assert (await machine.screen.frame()).shape == (200, 320, 3)


@SHARED
def test_stop_ends_the_server(how: str) -> None:
    machine = kju.launch(xvfb=True, args=arguments(how), name="x", detach=True)
    pid = machine.info()["xvfb"]["pid"]
    machine.stop()
    assert "stopped it" in (machine.end_reason or "")
    machine.close()
    xservers.until_ended(pid)


@SHARED
def test_killed_server_is_reported(how: str) -> None:
    with kju.launch(xvfb=True, args=arguments(how), name="x") as machine:
        screen = machine.screen
        os.kill(machine.info()["xvfb"]["pid"], signal.SIGKILL)
        with pytest.raises((ProducerGoneError, MachineGoneError), match="Xvfb was killed by SIGK"):
            for _ in screen.changes(timeout=30):
                pass
        assert machine.wait_ended(timeout=30)


@SHARED
def test_kill_of_the_host_ends_the_server(how: str) -> None:
    machine = kju.launch(xvfb=True, args=arguments(how), name="x")
    pid = machine.info()["xvfb"]["pid"]
    os.kill(machine.host_pid, signal.SIGKILL)
    xservers.until_ended(pid)
    machine.close()


def test_truncated_memory_ends_the_machine_with_a_reason() -> None:
    with kju.launch(xvfb=True, name="x") as machine:
        info = machine.info()
        assert machine.screen.frame().shape == (800, 1280, 3)
        os.truncate(info["xvfb"]["memory"], 4096)
        with contextlib.suppress(subprocess.CalledProcessError):
            xservers.do(info["xvfb"]["display"], "xsetroot", "-solid", "#112233")
        until(lambda: machine.end_reason, what="the server has ended")
        assert "Xvfb was killed by SIG" in (
            machine.end_reason or ""
        )  # its abort, or the first bus error
        assert machine.end_reason.count("(EE)") == 0


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        (["-screen", "0", "800x600x16"], ConflictError, "use -screen 0 800x600x24"),
        (["-displayfd", "7"], ConflictError, "kju info"),
        (["-fbdir", "/tmp", "-shmem"], ConflictError, "one of them"),
        (["-nonsense"], XvfbError, "Unrecognized option: -nonsense"),
        (["-cc", "5"], XvfbError, "24-bit TrueColor"),
        (["-fbdir", "/nonexistent"], XvfbError, "Couldn't add screen 0"),
    ],
)
def test_failed_start_is_a_one_line_error(
    args: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        kju.launch(xvfb=True, args=args)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_xvfb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(XvfbError, match="install"):
        kju.launch(xvfb=True)


def test_options_of_a_guest_are_rejected() -> None:
    with pytest.raises(ConflictError, match="memory"):
        kju.launch(xvfb=True, memory="1G")


# -- a running server


def test_running_server_is_attached_by_display_folder_or_file(tmp_path: Path) -> None:
    place = tmp_path / "fb"
    place.mkdir()
    with xservers.server("-fbdir", str(place)) as (child, where):
        xservers.do(where, "xsetroot", "-solid", "#123456")
        for named in (where, str(place), str(place / "Xvfb_screen0")):
            with kju.launch(xvfb=named) as machine:
                info = machine.info()["xvfb"]
                assert (info["pid"], info["display"]) == (child.pid, where)
                assert machine.screen.view()[0, 0, :3].tolist() == [0x56, 0x34, 0x12]
                until_equal(machine, where)
        assert child.poll() is None
        assert (place / "Xvfb_screen0").stat().st_size > 4 << 20


def test_display_is_found_beside_a_socket_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other, xservers.server("-fbdir", str(tmp_path)) as shown:
        other.bind(b"\0kju-test-\xf8-%d" % os.getpid())
        other.listen()
        with kju.launch(xvfb=shown[1]) as machine:
            assert display(machine) == shown[1]


def test_running_server_is_attached_by_its_segment() -> None:
    with xservers.server("-shmem") as (child, where):
        (number,) = [each for each, pid in xservers.segments().items() if pid == child.pid]
        for named in (where, f"sysv:{number}"):
            with kju.launch(xvfb=named) as machine:
                assert machine.info()["xvfb"]["memory"] == f"sysv:{number}"
                xservers.do(where, "xsetroot", "-solid", "#334455")
                assert machine.screen.frame()[0, 0].tolist() == [0x33, 0x44, 0x55]
        assert child.poll() is None
        assert number in xservers.segments()
    # Xvfb leaves its segment, at a clean exit too.
    segment_remove(int(number))


def test_end_of_a_running_server_ends_the_machine(tmp_path: Path) -> None:
    with (
        xservers.server("-fbdir", str(tmp_path)) as (child, where),
        kju.launch(xvfb=where) as machine,
    ):
        child.kill()
        assert machine.wait_ended(timeout=30)
        assert f"process {child.pid}) has ended" in (machine.end_reason or "")
    with pytest.raises(XvfbError, match="no visible process"):
        kju.launch(xvfb=str(tmp_path))


def test_error_for_a_server_without_shared_memory_names_its_options() -> None:
    with xservers.server() as (_, where), pytest.raises(XvfbError, match="-fbdir FOLDER or -shm"):
        kju.launch(xvfb=where)


def test_server_of_another_depth_is_an_error(tmp_path: Path) -> None:
    with (
        xservers.server("-fbdir", str(tmp_path), "-screen", "0", "640x480x16") as (_, where),
        pytest.raises(XvfbError, match="-screen 0 1280x800x24"),
    ):
        kju.launch(xvfb=where)


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        (":54321", XvfbError, "no X server"),
        ("sysv:2147483647", XvfbError, "cannot be attached"),
        ("sysv:9999999999", XvfbError, "cannot be attached"),
        ("/nonexistent/folder", XvfbError, "cannot be opened"),
        ("nonsense", UsageError, "not a running Xvfb"),
        ("", UsageError, "a running one"),
    ],
)
def test_place_without_a_running_server_is_an_error(
    where: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        kju.launch(xvfb=where)
    assert words in str(caught.value)


# -- the command


@pytest.fixture
def stopped() -> Iterator[None]:
    """Stop the machines that a failed test has left."""
    yield
    for name in running_names():
        with kju.attach(name) as machine:
            machine.stop()


@pytest.mark.usefixtures("stopped")
def test_command_runs_shows_and_stops_a_server(tmp_path: Path) -> None:
    run = kju_command(
        "run", "--xvfb", "--detach", "--name", "x", "--", "-screen", "0", "320x240x24"
    )
    assert run.returncode == 0, run.stderr
    assert "DISPLAY=:" in run.stdout
    (row,) = json.loads(kju_command("ls", "--json").stdout)
    assert (row["name"], row["kind"], row["consoles"][0]["source"]) == ("x", "xvfb", "xvfb")
    assert row["qemu_pid"] is None
    shot = tmp_path / "shot.png"
    assert kju_command("screenshot", "x", str(shot)).returncode == 0
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert "source: xvfb" in kju_command("info", "x").stdout
    assert kju_command("logs", "x", "--xvfb").returncode == 0
    assert (
        '"width": 320, "height": 240'
        in kju_command("watch", "x", "--json", "--seconds", "1").stdout
    )
    again = kju_command("run", "--xvfb-at", f":{run.stdout.partition('DISPLAY=:')[2].split()[0]}",
                        "--detach", "--name", "y")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert kju_command("stop", "y").returncode == 0
    assert kju_command("stop", "x", "--powerdown").returncode == 2
    assert kju_command("stop", "x").returncode == 0


def test_command_reports_the_end_of_its_server() -> None:
    command = [sys.executable, "-m", "kju.cli", "run", "--xvfb", "--name", "x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"x is running")
        with kju.attach("x") as machine:
            os.kill(machine.info()["xvfb"]["pid"], signal.SIGKILL)
        _, said = child.communicate(timeout=30)
        assert child.returncode == 5
        assert b"Xvfb was killed by SIGKILL" in said


def test_doctor_lists_xvfb() -> None:
    found = {one["check"]: one for one in json.loads(kju_command("doctor", "--json").stdout)}
    assert found["xvfb"]["passed"] is True
