"""The logs of a real machine: bounded while it runs, kept after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG, until

import kju
from kju.errors import QemuError
from kju.store import log_files
from kju.store.paths import machine_paths

pytestmark = pytest.mark.qemu

PACED = list(guests.PACED)


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> Iterator[None]:
    guests.invaders()
    yield
    assert {path.name for path in runtime_folder.iterdir()} <= {".lock", ".accelerator.json"}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kju.cli", *arguments],
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip


def launched(**wish: object) -> kju.Machine:
    return kju.launch(guests.INVADERS, name="m", memory="64M", args=PACED, **wish)  # type: ignore[arg-type]


def test_log_of_a_qemu_that_prints_without_end_is_bounded(tmp_path: Path) -> None:
    wrapper = tmp_path / "qemu-system-x86_64"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *kju-qmp*) yes noise & esac\nexec {guests.qemu()} "$@"\n'
    )
    wrapper.chmod(0o755)
    with launched(qemu=str(wrapper)) as machine:
        path = machine_paths("m").emulator_log("qemu")
        until(log_files.before(path).exists, "the first file is full")
        version = machine.screen.version
        until(lambda: machine.screen.version > version + 10, "the guest goes on")
        assert machine.info()["state"] == "running"
        assert sum(part.stat().st_size for part in log_files.parts(path)) <= 2 * log_files.LIMIT
        done = command("logs", "--qemu", "m")
        assert "earlier lines are in qemu.log.1" in done.stdout


def test_logs_are_kept_after_a_kill() -> None:
    with launched() as machine:
        os.kill(machine.host_pid, signal.SIGKILL)
        assert machine.wait_ended(timeout=HANG)
        assert "see kju logs m" in (machine.end_reason or "")
    done = command("logs", "m")
    assert done.returncode == 0
    assert "starting ['" in done.stdout
    assert "m is not running" in done.stderr
    assert command("logs", "--qemu", "m").returncode == 0


def test_logs_are_kept_after_a_crash_and_a_failed_start() -> None:
    with launched() as machine:
        os.kill(machine.info()["qemu"]["pid"], signal.SIGSEGV)
        assert machine.wait_ended(timeout=HANG)
    assert "QEMU was killed by SIGSEGV" in command("logs", "m").stdout
    with pytest.raises(QemuError, match="nonsense"):
        kju.launch(guests.INVADERS, name="m", args=[*PACED, "-device", "nonsense"])
    assert "nonsense" in command("logs", "--qemu", "m").stdout
    assert "ERROR" in command("logs", "m").stdout


def test_logs_are_removed_after_a_clean_end() -> None:
    with launched():
        pass
    assert log_files.find_kept("m") is None
    done = command("logs", "m")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
