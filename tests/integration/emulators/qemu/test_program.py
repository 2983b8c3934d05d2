"""Which accelerator is chosen: a program in place of QEMU takes a given time with each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from kju.emulators.qemu import program


def fake(folder: Path, kvm: str, tcg: str) -> program.Qemu:
    """A QEMU that does *kvm* or *tcg*, lines of Python, and then leaves as the boot sector does."""
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
        ("time.sleep(1.5)", "pass", "tcg", "KVM crawls here"),
        ("time.sleep(60)", "pass", "tcg", "did not finish within 2 s"),
        # A busy computer: TCG takes no less.
        ("time.sleep(1)", "time.sleep(1)", "kvm", "ran on KVM in"),
        ("time.sleep(1)", "sys.exit('no TCG in this QEMU')", "kvm", "ran on KVM in"),
        ("sys.exit('no KVM for you')", "pass", "tcg", "no KVM for you"),
    ],
)
def test_kvm_is_chosen_where_it_is_no_slower_than_tcg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: str, tcg: str, name: str, reason: str
) -> None:
    found = program._try_kvm(fake(tmp_path, kvm, tcg))
    assert (found.name, reason in found.reason) == (name, True), found


def test_a_quick_kvm_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "QUICK", 60)
    found = program._try_kvm(fake(tmp_path, "pass", "time.sleep(60)"))
    assert found.name == "kvm" and found.seconds < program.TIME_LIMIT
