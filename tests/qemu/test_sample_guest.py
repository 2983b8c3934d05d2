"""The sample guest, as the README and the tutorial use it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG, until

import kju
from kju.guests import sample

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

KJU = (sys.executable, "-m", "kju.cli")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    guests.sample()
    sample.copy(tmp_path / "linux.qcow2")
    return tmp_path / "linux.qcow2"


def log_in(machine: kju.Machine) -> None:
    machine.screen.wait_text("login:", timeout=HANG)
    machine.keyboard.type("root\n")
    machine.screen.wait_text("root@kju:", timeout=HANG)


def test_sample_guest_boots_to_a_login_and_runs_commands(disk: Path) -> None:
    with kju.launch(disk, memory=sample.MEMORY, args=guests.TCG) as machine:
        log_in(machine)
        machine.keyboard.type("echo $((6 * 7))-answer\n")
        machine.screen.wait_text("42-answer", timeout=HANG)
        assert machine.screen.mode[:2] == (1280, 800)
        machine.pointer.click(640, 400)


def test_sample_guest_stores_snapshots_on_its_disk(disk: Path) -> None:
    with kju.launch(disk, memory=sample.MEMORY, args=guests.TCG) as machine:
        log_in(machine)
        machine.snapshots.save("fresh")
        machine.keyboard.type("touch /tmp/1; echo made-''later\n")
        machine.screen.wait_text("made-later", timeout=HANG)
        machine.snapshots.load("fresh")
        machine.keyboard.type("ls /tmp | wc -l | sed s/^/files-/\n")
        machine.screen.wait_text("files-0", timeout=HANG)


def test_sample_guest_has_a_login_on_its_serial_port(disk: Path) -> None:
    with kju.launch(disk, memory=sample.MEMORY, args=guests.TCG) as machine:
        machine.screen.wait_text("login:", timeout=HANG)
        line = machine.serial()
        line.settimeout(HANG)
        heard = b""
        for words, answer in ((b"\n", b"login:"), (b"root\n", b"root@kju:"), (b"id\n", b"uid=0")):
            line.sendall(words)
            while answer not in heard:
                heard += (more := line.recv(4096))
                assert more, f"the serial port has closed after {heard[-200:]!r}"
        line.close()


@pytest.mark.parametrize("board", ["pc", "q35"])
def test_power_button_shuts_the_sample_guest_down(disk: Path, board: str) -> None:
    args = [*guests.TCG, "-machine", board]
    with kju.launch(disk, memory=sample.MEMORY, args=args) as machine:
        machine.screen.wait_text("login:", timeout=HANG)
        assert machine.shutdown(timeout=HANG)


def test_copy_never_replaces_a_file(disk: Path) -> None:
    disk.write_bytes(b"mine")
    done = subprocess.run(
        [*KJU, "demo", "--guest", "linux", "--copy-to", str(disk)],
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert (done.returncode, disk.read_bytes()) == (1, b"mine")
    (line,) = done.stderr.splitlines()
    assert str(disk) in line and "it is not replaced" in line


def test_error_without_a_network_is_one_line(tmp_path: Path) -> None:
    """Apt is pointed at a closed port, so every archive is unreachable."""
    (tmp_path / "apt.conf").write_text(
        'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "http://127.0.0.1:9";\n'
    )
    offline = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "APT_CONFIG": str(tmp_path / "apt.conf")}
    done = subprocess.run(
        [*KJU, "demo", "--guest", "linux", "--copy-to", str(tmp_path / "linux.qcow2")],
        capture_output=True, text=True, timeout=HANG, check=False, env=os.environ | offline,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "check the network connection, then try again" in line
    assert not list(tmp_path.rglob("*.qcow2"))


def test_a_recorded_session_is_repeated_on_the_restored_guest(disk: Path, tmp_path: Path) -> None:
    """What was typed is recorded, and typed again by the script, with the guest's old state."""
    script, shown = tmp_path / "session.py", tmp_path / "shown"
    with kju.launch(disk, name="recorded", memory=sample.MEMORY, args=guests.TCG) as machine:
        machine.screen.wait_text("login:", timeout=HANG)
        machine.snapshots.save("fresh")
        with shown.open("w") as file:
            recorder = subprocess.Popen(
                [*KJU, "codegen", "recorded", "--output", str(script)],
                stdout=subprocess.DEVNULL, stderr=file,
            )  # fmt: skip
        try:
            until(lambda: "recording" in shown.read_text(), "it records")
            log_in(machine)
            until(lambda: 'type("root\\n")' in shown.read_text(), "the login is shown")
            machine.screen.wait_stable(1, timeout=HANG)
            machine.keyboard.type("echo once >> /tmp/f; stty -echo; read -p Password: secret\n")
            machine.screen.wait_text(re.compile("^Password:", re.M), timeout=HANG)
            until(lambda: "stty" in shown.read_text(), "the command is shown")
            machine.screen.wait_stable(1, timeout=HANG)  # a person looks before typing
            machine.keyboard.type("hidden\n")
            until(lambda: "KJU_PASSWORD" in shown.read_text(), "the password is shown")
            machine.keyboard.type('stty echo; wc -c /tmp/f | tr -d " "; echo "$secret" | rev\n')
            machine.screen.wait_text("neddih", timeout=HANG)
        finally:
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(HANG) == 0, shown.read_text()
        source = script.read_text()
        assert "hidden" not in source
        assert 'expect(screen.text("root@kju:/root#"))' in source, source
        # Not the echo of the command: the terminal would still show what is typed.
        assert 'expect(screen.text("Password:")).to_have_count(2)' in source, source
        machine.snapshots.load("fresh")
        environment = os.environ | {"KJU_PASSWORD": "hidden"}
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True,
            timeout=2 * HANG, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{source}\n{done.stderr}"
        machine.screen.wait_text("5/tmp/f", timeout=HANG)
        machine.screen.wait_text("neddih", timeout=HANG)
