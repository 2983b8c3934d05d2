"""The choice of an accelerator, with a program in place of QEMU that takes a given time."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from support.wait import HANG

from kju.emulators.qemu import program


def fake(folder: Path, kvm: str, tcg: str) -> program.Qemu:
    """Make a QEMU that runs *kvm* or *tcg*, lines of Python, and exits as the boot sector does."""
    lines = folder / "qemu.py"
    lines.write_text(
        "import sys, time\n"
        f"if 'kvm' in sys.argv:\n    {kvm}\nelse:\n    {tcg}\n"
        f"sys.exit({program._STATUS})\n"
    )
    fake_qemu = folder / "qemu-system-x86_64"
    # The interpreter's path may hold a space, which a line of #! cannot.
    fake_qemu.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{lines}' \"$@\"\n")
    fake_qemu.chmod(0o755)

    class Found:
        path = str(fake_qemu)

    return cast("program.Qemu", cast(Any, Found()))


@pytest.mark.parametrize(
    ("kvm", "tcg", "name", "reason"),
    [
        ("time.sleep(3)", "pass", "tcg", "KVM is too slow"),
        ("time.sleep(600)", "pass", "tcg", "did not finish in 2 s"),
        # A busy computer: TCG takes as long.
        ("time.sleep(2)", "time.sleep(2)", "kvm", "ran on KVM in"),
        ("time.sleep(1)", "sys.exit('no TCG in this QEMU')", "kvm", "ran on KVM in"),
        ("sys.exit('no KVM for you')", "pass", "tcg", "no KVM for you"),
    ],
)
def test_kvm_is_chosen_unless_it_is_slower_than_tcg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: str, tcg: str, name: str, reason: str
) -> None:
    if "did not finish" not in reason:
        monkeypatch.setattr(program, "TIME_LIMIT", HANG)
    found = program._try_kvm(fake(tmp_path, kvm, tcg))
    assert (found.name, reason in found.reason) == (name, True), found


def test_fast_kvm_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "QUICK", HANG)
    monkeypatch.setattr(program, "TIME_LIMIT", HANG)
    compared = tmp_path / "compared"
    found = program._try_kvm(fake(tmp_path, "pass", f"open({str(compared)!r}, 'w').close()"))
    assert found.name == "kvm"
    assert not compared.exists()


def test_hosts_that_start_together_test_kvm_once(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests: list[threading.Thread] = []

    def test(qemu: program.Qemu) -> program.Accelerator:
        tests.append(threading.current_thread())
        return program.Accelerator("kvm", "it works")

    monkeypatch.setattr(program, "_try_kvm", test)
    found = fake(tmp_path, "pass", "pass")
    with ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(program._tested_accelerator, [found] * 8))
    assert {each.name for each in chosen} == {"kvm"}
    assert len(tests) == 1


def test_test_of_a_host_that_hangs_is_not_awaited(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_TURN_SECONDS", 0.05)
    result = program.Accelerator("kvm", "it works")
    monkeypatch.setattr(program, "_try_kvm", lambda qemu: result)
    with program._turn(program._cache_path()):
        assert program._tested_accelerator(fake(tmp_path, "pass", "pass")) == result
