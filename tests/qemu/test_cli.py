"""The `kju` command with a real QEMU and a real guest: its output, and the files it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import accelerator, guests
from support.ptys import InTerminal
from support.wait import HANG, until

pytestmark = pytest.mark.qemu

KJU = (sys.executable, "-m", "kju.cli")
#: Sources of a text mode: at first, and after it has lasted.
SOURCE = re.compile("screendump|display1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give the test a runtime folder of its own, to see the files that are left."""
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    accelerator.keep_answer(home)
    monkeypatch.chdir(tmp_path)
    yield home / "kju"
    for name in names(home / "kju"):
        kju("stop", "--now", name, check=False)


@pytest.fixture
def invaders(folder):
    guests.invaders()
    kju("run", "--detach", "--name", "game", guests.INVADERS, "--", *guests.PACED)
    return "game"


def kju(*words, check=True, **options):
    done = subprocess.run(
        [*KJU, *map(str, words)], capture_output=True, timeout=HANG, check=False, **options
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def names(folder):
    return sorted(e.name for e in os.scandir(folder) if e.is_dir()) if folder.exists() else []


def picture(name):
    png = kju("screenshot", name, "-").stdout
    path = Path("look.png")
    path.write_bytes(png)
    with Image.open(path) as image:
        return np.asarray(image)


def pids(info):
    return [info["host"]["pid"], info["qemu"]["pid"]]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def surfaces(pid):
    """Return the inodes of the surfaces that a process holds."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(link).startswith("/memfd:kju-"):
            found.add(link.stat().st_ino)
    return found


def mapped(inodes):
    """Return those of these surfaces that a process still maps."""
    maps = []
    for path in Path("/proc").glob("[0-9]*/maps"):
        try:
            maps += [line.split() for line in path.read_text().splitlines() if "memfd:kju-" in line]
        except OSError:
            continue  # it has ended meanwhile
    return inodes & {int(words[4]) for words in maps}


def test_run_screenshot_and_stop_a_machine(invaders, folder):
    listed = json.loads(kju("ls", "--json").stdout)
    assert [row["name"] for row in listed] == [invaders]
    assert invaders in kju("ls").stdout.decode()
    info = json.loads(kju("info", invaders, "--json").stdout)
    assert info["name"] == invaders and info["detached"]
    assert listed[0]["qemu_pid"] == info["qemu"]["pid"]
    assert all(map(alive, pids(info)))
    assert info["qemu"]["arguments"] == list(guests.PACED)
    assert {"width", "height", "source", "version"} <= info["consoles"][0].keys()
    assert SOURCE.search(kju("info", invaders).stdout.decode())

    # The game's screen: 720x400, few things on black.
    until(lambda: shows_game(invaders), "the game")
    assert 0 < picture(invaders).any(axis=2).mean() < 0.2

    kju("key", invaders, "esc", "left", "left")
    kju("type", invaders, "  ")
    lines = kju("watch", invaders, "--seconds", "2").stdout.decode().splitlines()
    assert len(lines) == 2 and "720x400" in lines[1] and SOURCE.search(lines[1])
    report = json.loads(kju("watch", invaders, "--seconds", "1", "--json").stdout)
    assert report["width"] == 720 and report["state"] == "live"

    assert b"running: process" in kju("logs", invaders).stdout
    assert kju("logs", invaders, "--qemu").returncode == 0
    kju("screenshot", invaders, "--cursor", "file.png")
    assert Path("file.png").read_bytes().startswith(b"\x89PNG")

    assert kju("screenshot", invaders).stdout == f"{invaders}.png\n".encode()
    assert Path(f"{invaders}.png").read_bytes().startswith(b"\x89PNG")

    # It is the only machine, and the commands above were short.
    assert json.loads(kju("info", "--json").stdout)["name"] == invaders
    events = kju("events").stdout
    assert b"started" in events and b"client-" not in events
    assert b"client-disconnected" in kju("events", "--all").stdout
    kju("key", "a", "--machine", invaders)

    kju("stop", "--now", invaders)
    assert json.loads(kju("ls", "--json").stdout) == []
    assert not any(map(alive, pids(info)))
    assert names(folder) == []


def shows_game(name):
    """Return whether the ship of the game is at the bottom of the screen."""
    image = picture(name)
    return image.shape == (400, 720, 3) and image[376:].any()


def test_keys_reach_the_game(invaders):
    until(lambda: shows_game(invaders), "the game")
    before = ship(invaders)

    def moved():
        kju("key", invaders, *["left"] * 5)
        return ship(invaders) < before - 20

    until(moved, "a move to the left")


def ship(name):
    """Return the ship's column: the middle of the lit pixels at the bottom."""
    return np.flatnonzero(picture(name)[376:].any(axis=(0, 2))).mean()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["watch", "nobody"], 3, "no machine 'nobody' is running"),
        (["info", "nobody", "--json"], 3, "no machine"),
        (["stop", "nobody"], 3, "no machine"),
        (["key", "nobody", "a"], 3, "no machine"),
        (["logs", "nobody"], 3, "no machine"),
        (["run", "--name", "a b"], 2, "cannot be a machine's name"),
        (["run", "none.qcow2"], 2, "none.qcow2 cannot be read"),
        (["run", "--qemu", "no-such-qemu"], 5, "no-such-qemu"),
        (["run", "--log-level", "loud"], 2, "log level"),
        (["run", "--", "-daemonize"], 2, "-daemonize"),
        (["run", "--", "-no-such-option"], 5, "no-such-option"),
        (["demo", "--guest", "none.qcow2"], 2, "none.qcow2"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(folder, words, code, says):
    done = kju(*words, check=False)
    assert done.returncode == code, done.stderr
    text = done.stderr.decode()
    assert says in text
    assert "Traceback" not in text
    assert text.startswith("kju: ") and text.count("\n") == 1
    assert names(folder) == []


def test_requests_that_a_machine_cannot_fulfil_are_one_line_errors(invaders):
    again = kju("run", "--name", invaders, guests.INVADERS, check=False)
    assert again.returncode == 4 and b"already running" in again.stderr
    assert kju("key", invaders, "nokey", check=False).returncode == 2
    assert kju("type", invaders, "\u20ac", check=False).returncode == 2
    assert kju("type", invaders, "a", "--layout", "klingon", check=False).returncode == 2
    kju("type", invaders, "\u00e9\u20ac", "--layout", "de")
    beyond = kju("screenshot", invaders, "--console", "3", "x.png", check=False)
    assert beyond.returncode == 2 and b"console 3" in beyond.stderr
    deaf = kju("stop", invaders, "--powerdown", check=False)
    assert deaf.returncode == 1 and b"power button" in deaf.stderr


def test_screenshot_of_each_console_by_its_number(folder):
    video = ("-vga", "none", "-device", "virtio-vga,max_outputs=2")
    kju("run", "--detach", "--name", "two", "--", *guests.TCG, *video)
    until(lambda: picture("two").shape[:2] == (400, 720), "a text mode on the first")
    kju("screenshot", "two", "--console", "1", "second.png")
    with Image.open("second.png") as image:
        assert image.size == (640, 480)
    lines = kju("watch", "two", "--console", "1", "--seconds", "1").stdout
    assert b"640x480" in lines
    assert kju("key", "two", "--console", "1", "a").returncode == 0


def test_wrong_files_and_texts_are_rejected(invaders):
    other = kju("screenshot", invaders, "picture.nothing", check=False)
    assert other.returncode == 2 and b".png" in other.stderr
    nowhere = kju("screenshot", invaders, "no/such/folder.png", check=False)
    assert nowhere.returncode == 1 and b"no/such/folder.png" in nowhere.stderr
    kju("type", invaders, "-", input=b"abc")
    assert kju("type", invaders, "-", input=b"\xff\xfe", check=False).returncode == 2


def test_surface_is_read_by_its_path(folder):
    guests.invaders()
    kju("run", "-d", "--name", "f", "--surface", "it.kju", guests.INVADERS, "--", *guests.PACED)
    until(lambda: shows_game("./it.kju"), "the game")
    facts = json.loads(kju("dump", "it.kju", "--json").stdout)
    assert facts["width"] == 720 and facts["producer_alive"] and facts["state"] == "live"
    assert b"23x13 tiles" in kju("dump", "it.kju").stdout
    kju("stop", "--now", "f")
    facts = json.loads(kju("dump", "it.kju", "--json").stdout)
    assert not facts["producer_alive"] and facts["state"] == "closed"
    # The file still holds the last frame.
    assert shows_game("./it.kju")


def test_demo_in_a_pipe_prints_lines(folder):
    guests.invaders()
    done = kju("demo", "--seconds", "9")
    text = done.stdout.decode()
    with Image.open("kju-demo.png") as image:
        assert image.size == (720, 400)
        assert np.asarray(image).any()
    assert str(Path("kju-demo.png").absolute()) in text
    assert SOURCE.search(text) and "kju" in text
    assert names(folder) == []


@pytest.mark.parametrize("moment", ["starting", "playing"])
def test_ctrl_c_ends_the_demo_and_its_processes(folder, moment):
    guests.invaders()
    terminal = InTerminal([*KJU, "demo"], 80, 25)
    try:
        if moment == "playing":
            terminal.until(lambda: "ends the demo" in terminal.screen.text()[-1], "the viewer")
            pictured = Path("kju-demo.png")
            terminal.until(pictured.exists, "the picture")
            (name,) = names(folder)
            found = pids(json.loads(kju("info", name, "--json").stdout))
            held = surfaces(found[0])
            assert held and mapped(held) == held
        else:
            terminal.until(lambda: names(folder), "the machine's folder")
            found, held = [], set()
        terminal.type(b"\x03")
        assert terminal.ended() == 130
        terminal.assert_given_back()
        if moment == "playing":
            assert "try next" in "\n".join(terminal.screen.text())
        assert not any(map(alive, found))
        assert names(folder) == [] and not mapped(held)
        with pytest.raises(ProcessLookupError):
            os.killpg(terminal.process.pid, 0)
    finally:
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_to_a_foreground_run_ends_the_machine(folder, number):
    guests.invaders()
    command = [*KJU, "run", guests.INVADERS, "--", *guests.PACED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().split()[0]
        info = json.loads(kju("info", name, "--json").stdout)
        process.send_signal(number)
        expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
        assert process.wait(HANG) == expected
    until(lambda: not any(map(alive, pids(info))), "the machine's end")
    assert kju("ls", "--json").stdout == b"[]\n"
    assert names(folder) == []


def test_foreground_run_ends_with_its_machine(folder):
    guests.invaders()
    command = [*KJU, "run", guests.INVADERS, "--", *guests.PACED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        name = process.stdout.readline().split()[0].decode()
        info = json.loads(kju("info", name, "--json").stdout)
        os.kill(info["qemu"]["pid"], signal.SIGKILL)
        assert process.wait(HANG) == 5
        assert b"SIGKILL" in process.stderr.read()
    assert names(folder) == []


def test_remains_of_a_killed_host_are_cleared_by_the_next_command(invaders, folder):
    info = json.loads(kju("info", invaders, "--json").stdout)
    os.kill(info["host"]["pid"], signal.SIGKILL)
    until(lambda: not any(map(alive, pids(info))), "the end of QEMU")
    assert names(folder) == [invaders]
    assert kju("ls", "--json").stdout == b"[]\n"
    assert names(folder) == []


def test_watch_ends_with_its_machine(invaders):
    command = [*KJU, "watch", invaders]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        kju("stop", "--now", invaders)
        assert process.wait(HANG) == 8
        assert b"has ended" in process.stderr.read()


def test_demo_runs_across_a_network(folder):
    pytest.importorskip("zenoh")
    done = kju("demo", "--remote", "--seconds", "6")
    text = done.stdout.decode()
    assert done.stderr == b""
    assert "sender   kju serve invaders: zenoh:demo/invaders" in text
    assert re.search(r"^sent: [\d,]+ bytes in \d+ s, o", text, re.MULTILINE)
    with Image.open("kju-demo.png") as image:
        left = image.crop((0, 0, 720, 400))
        right = image.crop((728, 0, 1448, 400))
        assert image.size == (1448, 424)
    # The game moves between the two pictures: most pixels are equal, and not all are black.
    differs = np.asarray(left, int) != np.asarray(right, int)
    assert differs.mean() < 0.05
    assert np.asarray(right).any()


def test_record_writes_a_video_that_plays(invaders):
    pytest.importorskip("av", reason="PyAV is missing: tools/setup desktop")
    from kju.viewers.tools.playback import VideoReader

    child = subprocess.Popen(
        [*KJU, "record", invaders, "game.mp4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: Path("game.mp4").exists() and Path("game.mp4").stat().st_size > 5000)
    kju("key", invaders, "spc")
    until(lambda: Path("game.mp4.input.jsonl").stat().st_size > 0)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=HANG)
    assert (child.returncode, out.decode().strip()) == (0, "game.mp4"), error
    with VideoReader("game.mp4") as reader:
        assert reader.picture(len(reader.timeline.times) - 1).any()
        assert [event.words for event in reader.timeline.events] == [" "]
    done = kju("record", invaders, "game.mp4", check=False)
    assert done.returncode == 1
    assert b"choose another name" in done.stderr
