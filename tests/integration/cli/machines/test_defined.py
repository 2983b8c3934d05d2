"""The output of `kju create` and `kju start`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_host import fake_host

from kju import attach
from kju.cli import app
from kju.cli.machines import defined as commands
from kju.emulators.qemu import program
from kju.store import definitions


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def create(words: list[str]) -> None:
    assert app.run(["create", *words]) == 0


REASON = "\x1b]0;owned\x07 no KVM\nkju: all is well"
SHOWN = r"accelerator: TCG (slow). \x1b]0;owned\x07 no KVM\nkju: all is well"


def test_create_escapes_the_reason_for_an_accelerator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = program.Accelerator("tcg", REASON, 0.1)
    monkeypatch.setattr(program, "best_accelerator", lambda qemu: found)
    create(["other"])
    assert SHOWN in capsys.readouterr().out.splitlines()


def test_start_escapes_the_reason_for_an_accelerator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A running machine of another host reports its accelerator.
    monkeypatch.setattr(commands.launching, "start", lambda name, **_: attach(name))
    with fake_host() as host:
        host.machine.info["accelerator"] = {"name": "tcg", "reason": REASON}
        commands.start("fake", watch=False)
    assert SHOWN in capsys.readouterr().out.splitlines()


def test_create_shows_every_file_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "base.raw").write_bytes(bytes(512))
    disk = tmp_path / "in" / "stranger.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "../base.raw", "-F", "raw"]
    subprocess.run([*command, str(disk)], check=True)
    words = [sys.executable, "-m", "kju.cli", "create", "strange", "--image", str(disk)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "outside its folder" in done.stderr and "--trust-disk" in done.stderr
    assert definitions.names() == []
    done = subprocess.run(
        [*words, "--trust-disk", "--disk-bus", "scsi"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"disk: {disk} (qcow2)\nbacking: {tmp_path}/base.raw (raw)\n" in done.stdout
    made = definitions.read("strange").definition
    assert made.trust_disk and made.disk_bus == "scsi"
