"""Another user of this computer cannot reach a machine's folder, socket or memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

import kju
from kju.store.paths import Paths

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user"),
]

NOBODY = 65534
#: Run as the other user. It does not import kju, which that user may not be able to read.
CONNECT = """
import socket, sys
try:
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    try:
        link.sendall(bytes.fromhex(sys.argv[2]))
    except BrokenPipeError:
        pass  # hung up on already: why is still to be read
    said = b""
    while data := link.recv(4096):
        said += data
    print(said)
except OSError as error:
    print(type(error).__name__)
"""
READ = """
import sys
for path in sys.argv[1:]:
    try:
        open(path, "rb").read(1)
        print("read", path)
    except OSError as error:
        print(type(error).__name__)
"""
# Length and msgpack of {"type": "hello", "role": "control"}.
HELLO = bytes([25, 0, 0, 0]) + b"\x82\xa4type\xa5hello\xa4role\xa7control"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kju.Machine]:
    folder = Path(os.path.realpath(f"/tmp/kju-user-{os.getpid()}"))
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    try:
        with kju.launch(args=guests.invaders(), name="mine") as machine:
            yield machine
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def as_nobody(script: str, *arguments: str) -> str:
    """Run a script as another user, without the groups of this process."""
    return subprocess.run(
        ["/usr/bin/python3", "-I", "-c", script, *arguments],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={},
        capture_output=True, text=True, check=True, timeout=HANG,
    ).stdout.strip()  # fmt: skip


def socket_of(machine: kju.Machine) -> Path:
    return Paths(Path(machine.log).parent).control


def test_folder_is_closed_to_another_user(machine: kju.Machine) -> None:
    machine.keyboard.type("secret")
    control = socket_of(machine)
    files = [str(control.with_name(name)) for name in ("host.log", "qemu.log", "input.jsonl")]
    assert all(os.path.exists(path) for path in files)
    assert as_nobody(READ, *files).split() == ["PermissionError"] * 3
    assert as_nobody(CONNECT, str(control), HELLO.hex()) == "PermissionError"


def test_host_rejects_another_user_that_reaches_its_socket(machine: kju.Machine) -> None:
    """The host takes the peer's user from the kernel, not from its greeting."""
    control = socket_of(machine)
    control.parent.parent.chmod(0o755)
    control.parent.chmod(0o755)
    control.chmod(0o777)
    said = as_nobody(CONNECT, str(control), HELLO.hex())
    assert f"not user {NOBODY}" in said
    assert "welcome" not in said
    with kju.attach("mine") as ours:
        assert ours.info()["name"] == "mine"


def test_memory_cannot_be_opened_through_proc(machine: kju.Machine) -> None:
    machine.screen.frame()
    mine = subprocess.run(
        [sys.executable, "-c", READ, f"/proc/{machine.host_pid}/maps"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert mine.startswith("read")
    pids = (machine.host_pid, machine.info()["qemu"]["pid"])
    targets = [f"/proc/{pid}/{what}" for pid in pids for what in ("mem", "maps")]
    assert set(as_nobody(READ, *targets).split()) == {"PermissionError"}
